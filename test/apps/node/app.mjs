// A service on node:http that drains without resetting anyone. Listens on descriptor 3 when LISTEN_FDS says so, else on $PORT.
import { createServer } from 'node:http';
import { Server } from 'node:net';
import { setTimeout as delay } from 'node:timers/promises';

const VERSION = '@VERSION@';
const VARIANT = '@VARIANT@';
const GRACE_MS = Number(process.env.DRAIN_GRACE_MS ?? 1000);
const PATTERN = '0123456789abcdef';
const BODY = `{"app":"node","version":"${VERSION}","pid":${process.pid},"payload":"${PATTERN.repeat(16)}"}\n`;
const SLOW = Buffer.from(PATTERN.repeat(4096));
const SLICES = 20;

let draining = false;

function head(response, length, type) {
  response.writeHead(200, {
    'Content-Type': type,
    'Content-Length': length,
    'X-Version': VERSION,
    'X-Pid': process.pid,
    ...(draining && { Connection: 'close' }),
  });
}

async function slow(response, milliseconds) {
  head(response, SLOW.length, 'text/plain');
  response.flushHeaders();
  for (let slice = 0; slice < SLICES; slice++) {
    await delay(milliseconds / SLICES);
    response.write(
      SLOW.subarray((SLOW.length * slice) / SLICES, Math.floor((SLOW.length * (slice + 1)) / SLICES)),
    );
  }
  response.end();
}

const server = createServer({ keepAliveTimeout: 60_000 }, (request, response) => {
  const url = new URL(request.url, 'http://localhost');
  if (url.pathname === '/slow') return void slow(response, Number(url.searchParams.get('ms') ?? 20_000));
  const body = url.pathname === '/healthz' ? 'ok\n' : BODY;
  head(response, Buffer.byteLength(body), 'application/json');
  response.end(body);
});

// Connections without a request, and since when.
const idle = new Map();
server.on('connection', (socket) => {
  idle.set(socket, performance.now());
  socket.on('close', () => idle.delete(socket));
});
server.prependListener('request', ({ socket }, response) => {
  idle.delete(socket);
  response.on('close', () => socket.destroyed || idle.set(socket, performance.now()));
});

function drain() {
  const start = performance.now();
  draining = true;
  // Not server.close(): that one closes idle keep-alive connections at once (since Node 19), under requests on their way.
  Server.prototype.close.call(server, () => process.exit(0));
  setInterval(() => {
    for (const [socket, since] of idle) {
      if (performance.now() - Math.max(since, start) >= GRACE_MS) socket.destroy();
    }
  }, 50);
}

if (VARIANT === 'exits-at-once') process.exit(3);
if (VARIANT === 'crashes-after-start') setTimeout(() => process.abort(), 500);
if (VARIANT === 'never-ready') {
  setInterval(() => {}, 60_000);
} else {
  process.on('SIGTERM', drain);
  // The backlog again, because listen(2) on an inherited socket would shrink it to Node's default of 511.
  server.listen(
    process.env.LISTEN_FDS ? { fd: 3, backlog: 4096 } : { port: Number(process.env.PORT ?? 8080) },
  );
}
