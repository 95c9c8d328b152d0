// The same with the TypeScript SDK 2.x, in the era that is asked for.
import { Client, StreamableHTTPClientTransport } from '@modelcontextprotocol/client';
import { observed } from './observed.mjs';

const { url, key, era } = JSON.parse(process.argv[2]);
const client = new Client(
  { name: 'sdk2', version: '1' },
  { capabilities: { elicitation: {} }, versionNegotiation: { mode: era } },
);
const transport = new StreamableHTTPClientTransport(new URL(url), {
  requestInit: { headers: { Authorization: `Bearer ${key}` } },
});
await observed(client, transport, {
  onQuestion: (answer) => client.setRequestHandler('elicitation/create', answer),
  call: (tool, args, options) => client.callTool({ name: tool, arguments: args }, options),
});
