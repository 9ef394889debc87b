/** Who may `docker exec … baton drain`, and who not. */
import { describe, expect } from 'vitest';
import { Container, containerTest } from './support/container.ts';
import { dockerRun } from './support/run.ts';

const REFUSED = "refused: only root and Baton's own user, in the container's PID namespace, may do this\n";

/**
 * Asks without Baton's client for a reload at an abstract address that is not its own, and prints the code of the answer: PID 1's
 * framing (docs/wire.md).
 */
const STRANGER =
  'use Socket; socket(my $s, AF_UNIX, SOCK_STREAM, 0); connect($s, sockaddr_un("\\0" . shift)) or die "$!\\n";' +
  'syswrite($s, pack("V/a*", "reload\\0")); sysread($s, my $answer, 4096); print((split("\\0", substr($answer, 4)))[1]);';

describe('docker exec', () => {
  for (const [owner, user] of [
    ['1000', '0'],
    ['1000', '1000'],
    ['0', '0'],
  ] as const)
    containerTest(`as user ${user}, where Baton is ${owner}: drains`, async () => {
      await using container = await Container.start({ user: owner });
      expect(await container.exec(['/opt/baton/baton', 'drain'], { user })).toMatchObject({ exitCode: 0 });
      expect(await container.health('/readyz')).toMatchObject({ status: 503 });
    });

  for (const [owner, user] of [
    ['1000', '1001'],
    ['0', '1000'],
  ] as const)
    containerTest(`as user ${user}, where Baton is ${owner}: refused`, async () => {
      await using container = await Container.start({ user: owner });
      for (const verb of ['drain', 'reload', 'status'])
        expect(await container.exec(['/opt/baton/baton', verb], { user })).toMatchObject({
          exitCode: 77,
          output: REFUSED,
        });
      expect(await container.health('/readyz')).toMatchObject({ status: 200 });
      expect(await container.status()).toMatchObject({ active: { generation: 1 } });
    });
});

describe('from another container', () => {
  /** @returns the address that the kernel shows to everybody in the network namespace */
  async function addressOf(container: Container): Promise<string> {
    const { output } = await container.exec(['cat', '/proc/net/unix']);
    const [, name] = /@(baton\/\d+)$/m.exec(output) ?? [];
    expect(name).toBeDefined();
    return String(name);
  }

  const stranger = (name: string, user: string, ...shared: readonly string[]) =>
    dockerRun(...shared, '--user', user, '--entrypoint', 'perl', 'baton-on-debian', '-e', STRANGER, name);

  containerTest('that shares the network: Baton’s client finds none, and a stranger is refused', async () => {
    await using container = await Container.start();
    const network = ['--network', `container:${container.id}`];
    const client = ['--entrypoint', '/opt/baton/baton', 'baton-on-debian', 'drain'];
    expect(await dockerRun(...network, ...client)).toMatchObject({
      code: 69,
      stderr: expect.stringMatching(/^baton: drain: no Baton answers at @baton\/\d+: ECONNREFUSED\n$/),
    });
    expect(await stranger(await addressOf(container), '0', ...network)).toMatchObject({
      code: 0,
      stdout: '77',
    });
    expect(await container.status()).toMatchObject({ ready: true, active: { generation: 1 } });
  });

  containerTest('that shares the processes as well: as with exec, by user', async () => {
    await using container = await Container.start({ user: '1000' });
    const shared = ['--network', `container:${container.id}`, '--pid', `container:${container.id}`];
    const name = await addressOf(container);
    expect(await stranger(name, '1001', ...shared)).toMatchObject({ code: 0, stdout: '77' });
    expect(await container.status()).toMatchObject({ active: { generation: 1 } });
    for (const user of ['0', '1000'])
      expect(await stranger(name, user, ...shared)).toMatchObject({ code: 0, stdout: '0' });
    expect(await container.status()).toMatchObject({ active: { generation: 3 } });
  });

  containerTest('that shares the processes alone: there is no such address', async () => {
    await using container = await Container.start();
    const answer = await stranger(await addressOf(container), '0', '--pid', `container:${container.id}`);
    expect(answer).toMatchObject({ code: 111, stdout: '', stderr: 'Connection refused\n' });
  });
});
