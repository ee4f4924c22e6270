// Starts an MCP server, whose command is the arguments, and prints the names of its tools. Then each line
// of input is a call, `{"name": …, "arguments": …}`, and its result is a line of output.
import { createInterface } from 'node:readline';
import { Client } from '@modelcontextprotocol/sdk/client/index.js';
import { StdioClientTransport } from '@modelcontextprotocol/sdk/client/stdio.js';

// Long enough for a person's decision.
const timeout = 170_000;

const [command, ...args] = process.argv.slice(2);
const client = new Client({ name: 'clients', version: '0.0.0' });
await client.connect(new StdioClientTransport({ command, args, env: process.env }));
const say = (value) => console.log(JSON.stringify(value));

const names = [];
let cursor;
do {
  const { tools, nextCursor } = await client.listTools({ cursor });
  names.push(...tools.map((tool) => tool.name));
  cursor = nextCursor;
} while (cursor);
say(names.sort());

for await (const line of createInterface({ input: process.stdin })) {
  try {
    say(await client.callTool(JSON.parse(line), undefined, { timeout }));
  } catch (error) {
    say({ isError: true, content: [{ type: 'text', text: error.message }] });
  }
}
await client.close();
process.exit(0);
