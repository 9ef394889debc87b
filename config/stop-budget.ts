/**
 * How the time is split that an orchestrator gives a container to stop, from its stop signal to its own SIGKILL:
 * lame duck, drain, and a last part for killing what is left, reaping it, and the exit.
 */

const LAST_PART = 0.1;
const LAST_PART_MAX = 1000;

/** How long what a reload replaced may take, ms, where no stop-timeout is given. Nobody waits for it: it ends what hangs. */
export const RELOAD_STOP_TIMEOUT = 20_000;

/**
 * Until when what still runs is killed, so that the orchestrator's SIGKILL never comes first.
 * @param stopGrace the orchestrator's own time, ms
 * @returns ms from the stop signal on; the last part, a tenth and at most 1 s, comes after it
 */
export function stopBudget(stopGrace: number): number {
  return stopGrace - Math.min(stopGrace * LAST_PART, LAST_PART_MAX);
}

/**
 * `docker stop` waits 10 s (docs.docker.com, `--stop-timeout`), and so do Compose and Swarm; the kubelet 30 s
 * (terminationGracePeriodSeconds). It sets KUBERNETES_SERVICE_HOST in every container, with `enableServiceLinks: false`
 * too (kubernetes.io, "Accessing the API from a Pod").
 */
export function defaultStopGrace(environment: {
  readonly KUBERNETES_SERVICE_HOST?: string | undefined;
}): number {
  return environment.KUBERNETES_SERVICE_HOST ? 30_000 : 10_000;
}
