// One course of calls, whichever SDK makes them. The gateway's key asks a person above a value.

export async function observed(client, transport, { onQuestion, call }) {
  const { credentialId } = JSON.parse(process.argv[2]);
  const order = { credentialId, market: 'BTC-USD-PERP', side: 'BUY' };
  const seen = { questions: [], progress: [] };
  let agrees = true;
  onQuestion(async (request) => {
    seen.questions.push(request.params.message);
    return agrees ? { action: 'accept', content: { place: true } } : { action: 'decline' };
  });

  await client.connect(transport);
  seen.version = transport.protocolVersion ?? client.getNegotiatedProtocolVersion?.();
  seen.sessionId = transport.sessionId;
  seen.instructions = client.getInstructions();
  seen.tools = (await client.listTools()).tools.map((tool) => tool.name);
  seen.balance = await call('get_balance', { credentialId });
  seen.small = await call('place_market_order', { ...order, size: '0.001' }, {
    onprogress: (progress) => seen.progress.push(progress.message),
  });
  seen.confirmed = await call('place_market_order', { ...order, size: '0.1' });
  agrees = false;
  seen.declined = await call('place_market_order', { ...order, size: '0.1' });
  seen.refused = await call('place_market_order', { ...order, market: 'NOSUCH', size: '0.1' });
  seen.unknown = await call('frobnicate', {}).then(() => null, (error) => error.code);
  seen.positions = await call('get_positions', { credentialId });
  await transport.terminateSession?.();
  await client.close();
  console.log(JSON.stringify(seen));
}
