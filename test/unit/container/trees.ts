/** What containers see of their cgroups: the files of /proc and /sys that matter, by path. */

export type Tree = Readonly<Record<string, string>>;

/** As memory.limit_in_bytes writes "none": LONG_MAX in whole pages of 4 KiB. */
const PAGE_COUNTER_MAX = '9223372036854771712\n';

const ID = '483a7e4f3a8e491376f2543574663d125bb8b74c887bc7d2b35e377a39b3a767';
const V1 = ['cpu', 'cpuacct', 'cpuset', 'memory', 'devices', 'freezer', 'blkio', 'pids', 'name=systemd'];

/** Docker 20.10 on a hybrid host, `docker run -m 64m --cpus 0.5 --cgroupns host|private`: recorded. */
const dockerV1 = (own: string): Tree => ({
  'proc/self/cgroup': [
    ...V1.map((controller, index) => `${index + 1}:${controller}:${own}`),
    `0::${own}`,
    '',
  ].join('\n'),
  'proc/self/mountinfo': [
    '120 118 0:50 / /sys ro,nosuid,nodev,noexec,relatime - sysfs sysfs ro',
    '121 120 0:51 / /sys/fs/cgroup rw,nosuid,nodev,noexec,relatime - tmpfs tmpfs rw,mode=755',
    ...V1.map((controller, index) => {
      const folder = controller.replace('name=', '');
      return `${122 + index} 121 0:${29 + index} ${own} /sys/fs/cgroup/${folder} ro,nosuid,nodev,noexec,relatime - cgroup cgroup rw,${controller}`;
    }),
    '',
  ].join('\n'),
  'sys/fs/cgroup/cpu/cpu.cfs_quota_us': '50000\n',
  'sys/fs/cgroup/cpu/cpu.cfs_period_us': '100000\n',
  'sys/fs/cgroup/memory/memory.limit_in_bytes': '67108864\n',
  'sys/fs/cgroup/memory/memory.stat':
    'cache 0\nrss 0\nhierarchical_memory_limit 67108864\nhierarchical_memsw_limit 134217728\n',
  'sys/fs/cgroup/memory/memory.oom_control': 'oom_kill_disable 0\nunder_oom 0\noom_kill 3\n',
});

export const dockerV1HostNamespace = dockerV1(`/docker/${ID}`);
export const dockerV1OwnNamespace = dockerV1('/');

/** The same without limits. */
export const dockerV1Unlimited: Tree = {
  ...dockerV1OwnNamespace,
  'sys/fs/cgroup/cpu/cpu.cfs_quota_us': '-1\n',
  'sys/fs/cgroup/memory/memory.limit_in_bytes': PAGE_COUNTER_MAX,
  'sys/fs/cgroup/memory/memory.stat': `cache 0\nhierarchical_memory_limit ${PAGE_COUNTER_MAX}`,
};

/** A pod's limit on v1, where only the container's own cgroup is mounted. */
export const podLimitAboveTheMount: Tree = {
  ...dockerV1Unlimited,
  'sys/fs/cgroup/memory/memory.stat': 'cache 0\nhierarchical_memory_limit 268435456\n',
};

const mountedV2 = (root = '/') =>
  `642 641 0:29 ${root} /sys/fs/cgroup ro,nosuid,nodev,noexec,relatime - cgroup2 cgroup rw,nsdelegate,memory_recursiveprot\n`;
const EVENTS = 'low 0\nhigh 0\nmax 41\noom 2\noom_kill 2\noom_group_kill 0\n';

/** Docker on v2, its default: a cgroup namespace of the container's own. */
export const dockerV2: Tree = {
  'proc/self/cgroup': '0::/\n',
  'proc/self/mountinfo': mountedV2(),
  'sys/fs/cgroup/cpu.max': '150000 100000\n',
  'sys/fs/cgroup/memory.max': '67108864\n',
  'sys/fs/cgroup/memory.events': EVENTS,
};

/** A container of Kubernetes 1.28 or later on v2, in a cgroup namespace of its own. */
export const killedTogether: Tree = { ...dockerV2, 'sys/fs/cgroup/memory.oom.group': '1\n' };

const SCOPE = `system.slice/docker-${ID}.scope`;

/** `--cgroupns host` on v2: the host's whole tree is there, and its root has neither cpu.max nor memory.max. */
export const dockerV2HostNamespace: Tree = {
  'proc/self/cgroup': `0::/${SCOPE}\n`,
  'proc/self/mountinfo': mountedV2(),
  [`sys/fs/cgroup/${SCOPE}/cpu.max`]: '200000 100000\n',
  [`sys/fs/cgroup/${SCOPE}/memory.max`]: '67108864\n',
  [`sys/fs/cgroup/${SCOPE}/memory.events`]: EVENTS,
  'sys/fs/cgroup/system.slice/cpu.max': 'max 100000\n',
  'sys/fs/cgroup/system.slice/memory.max': 'max\n',
  'sys/fs/cgroup/system.slice/memory.events': EVENTS.replace('oom_kill 2', 'oom_kill 9'),
};

const POD =
  'kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod8a5c2b9e_0c52_4ff4_8cc0_a3a1b4b0d5f1.slice';

/** A pod's slice with limits of its own, and a container without; only kubepods.slice is mounted. */
export const kubernetesV2: Tree = {
  'proc/self/cgroup': `0::/${POD}/cri-containerd-${ID}.scope\n`,
  'proc/self/mountinfo': mountedV2('/kubepods.slice'),
  ...Object.fromEntries(
    [
      ['', '2000000 100000\n', '33285996544\n'],
      ['/kubepods-burstable.slice', 'max 100000\n', 'max\n'],
      [POD.replace('kubepods.slice', ''), '25000 100000\n', '134217728\n'],
      [`${POD.replace('kubepods.slice', '')}/cri-containerd-${ID}.scope`, 'max 100000\n', 'max\n'],
    ].flatMap(([folder, cpu = '', memory = '']) => [
      [`sys/fs/cgroup${folder}/cpu.max`, cpu],
      [`sys/fs/cgroup${folder}/memory.max`, memory],
    ]),
  ),
};

/** The same of Kubernetes 1.28 or later. */
export const killedTogetherInPod: Tree = {
  ...kubernetesV2,
  [`sys/fs/cgroup${POD.replace('kubepods.slice', '')}/cri-containerd-${ID}.scope/memory.oom.group`]: '1\n',
};

const USER = 'user.slice/user-1000.slice/user@1000.service';

/** Rootless: systemd delegates memory and pids to users, but not cpu. */
export const rootless: Tree = {
  'proc/self/cgroup': `0::/${USER}/user.slice/libpod-${ID}.scope/container\n`,
  'proc/self/mountinfo': mountedV2(),
  [`sys/fs/cgroup/${USER}/user.slice/libpod-${ID}.scope/memory.max`]: '536870912\n',
  [`sys/fs/cgroup/${USER}/user.slice/libpod-${ID}.scope/memory.events`]: EVENTS,
  [`sys/fs/cgroup/${USER}/memory.max`]: 'max\n',
  'sys/fs/cgroup/user.slice/user-1000.slice/cpu.max': '300000 100000\n',
};

/** A hybrid host whose memory controller alone is with v2. */
export const mixed: Tree = {
  'proc/self/cgroup': '1:cpu,cpuacct:/app\n0::/app\n',
  'proc/self/mountinfo': [
    '31 30 0:25 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw',
    '32 30 0:26 / /sys/fs/cgroup/cpu,cpuacct rw - cgroup cgroup rw,cpu,cpuacct',
  ].join('\n'),
  'sys/fs/cgroup/cpu,cpuacct/app/cpu.cfs_quota_us': '33333\n',
  'sys/fs/cgroup/cpu,cpuacct/app/cpu.cfs_period_us': '100000\n',
  'sys/fs/cgroup/cpu,cpuacct/cpu.cfs_quota_us': '-1\n',
  'sys/fs/cgroup/cpu,cpuacct/cpu.cfs_period_us': '100000\n',
  'sys/fs/cgroup/unified/app/memory.max': '1048576\n',
  'sys/fs/cgroup/unified/app/memory.events': EVENTS,
};
