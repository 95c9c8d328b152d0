// What a client on the TypeScript SDK 1.x sees of a gateway, as one JSON object on standard output.
import { Client } from '@modelcontextprotocol/sdk/client/index.js';
import { StreamableHTTPClientTransport } from '@modelcontextprotocol/sdk/client/streamableHttp.js';
import { ElicitRequestSchema } from '@modelcontextprotocol/sdk/types.js';
import { observed } from './observed.mjs';

const { url, key } = JSON.parse(process.argv[2]);
const client = new Client({ name: 'sdk1', version: '1' }, { capabilities: { elicitation: {} } });
const transport = new StreamableHTTPClientTransport(new URL(url), {
  requestInit: { headers: { Authorization: `Bearer ${key}` } },
});
await observed(client, transport, {
  onQuestion: (answer) => client.setRequestHandler(ElicitRequestSchema, answer),
  call: (tool, args, options) => client.callTool({ name: tool, arguments: args }, undefined, options),
});
