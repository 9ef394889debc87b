/** What the tests see of the cluster: objects as the API server sends them, each change as it comes. */
import { readFileSync } from 'node:fs';
import type { IncomingMessage } from 'node:http';
import { request } from 'node:https';
import { createInterface } from 'node:readline';
import { parse } from 'yaml';

/** https://kubernetes.io/docs/reference/generated/kubernetes-api/v1.20/ has all the fields; here are those that matter. */
export interface KubernetesObject {
  readonly metadata: { readonly name: string; readonly uid: string; readonly deletionTimestamp?: string };
}

export interface Pod extends KubernetesObject {
  readonly status: {
    readonly phase: string;
    readonly podIP?: string;
    readonly conditions?: readonly { readonly type: string; readonly status: string }[];
    readonly containerStatuses?: readonly ContainerStatus[];
  };
}

export interface ContainerStatus {
  readonly name: string;
  readonly ready: boolean;
  readonly restartCount: number;
  readonly containerID?: string;
  readonly lastState?: { readonly terminated?: Terminated };
}

interface Terminated {
  readonly exitCode: number;
  /** What stood in /dev/termination-log. */
  readonly message?: string;
}

export interface Endpoints extends KubernetesObject {
  readonly subsets?: readonly { readonly addresses?: readonly { readonly ip: string }[] }[];
}

export interface Event extends KubernetesObject {
  readonly message: string;
}

export interface Change<T> {
  readonly type: 'ADDED' | 'MODIFIED' | 'DELETED';
  readonly object: T;
}

interface Kubeconfig {
  readonly clusters: readonly [{ cluster: { server: string; 'certificate-authority': string } }];
  readonly users: readonly [{ user: { token: string } }];
}

/** One kind of object in one namespace: what there is, and every change since the watch began. */
export class Watch<T extends KubernetesObject> implements Disposable {
  readonly changes: Change<T>[] = [];
  /** Called at every change, after it was noted. */
  onChange: () => void = () => {};
  readonly #current = new Map<string, T>();
  readonly #waiting = new Set<() => void>();
  readonly #response: IncomingMessage;
  #ended: Error | null = null;

  private constructor(response: IncomingMessage) {
    this.#response = response;
    createInterface(response).on('line', (line) => this.#take(JSON.parse(line)));
    response.on('close', () => this.#wake(new Error('the API server ended the watch')));
    response.on('error', () => {}); // what follows is `close`
  }

  /** `resource`: `pods`, `endpoints`, `events`. */
  static async open<T extends KubernetesObject>(
    kubeconfig: string,
    namespace: string,
    resource: string,
  ): Promise<Watch<T>> {
    const { clusters, users } = parse(readFileSync(kubeconfig, 'utf8')) as Kubeconfig;
    const { server, 'certificate-authority': authority } = clusters[0].cluster;
    const response = await new Promise<IncomingMessage>((resolve, reject) => {
      request(`${server}/api/v1/namespaces/${namespace}/${resource}?watch=true`, {
        ca: readFileSync(authority),
        headers: { authorization: `Bearer ${users[0].user.token}` },
        agent: false,
      })
        .on('response', resolve)
        .on('error', reject)
        .end();
    });
    if (response.statusCode !== 200) throw new Error(`watching ${resource}: status ${response.statusCode}`);
    return new Watch<T>(response);
  }

  get current(): readonly T[] {
    return [...this.#current.values()];
  }

  /** Once what there is satisfies `predicate`. */
  async until(predicate: (current: readonly T[]) => boolean): Promise<readonly T[]> {
    while (!predicate(this.current)) {
      if (this.#ended) throw this.#ended;
      await new Promise<void>((resolve) => this.#waiting.add(resolve));
    }
    return this.current;
  }

  [Symbol.dispose](): void {
    this.#response.destroy();
  }

  #take(change: Change<T>): void {
    const { type, object } = change;
    if (type === 'DELETED') this.#current.delete(object.metadata.name);
    else this.#current.set(object.metadata.name, object);
    this.changes.push(change);
    this.onChange();
    this.#wake(null);
  }

  #wake(ended: Error | null): void {
    this.#ended = ended;
    for (const resolve of this.#waiting) resolve();
    this.#waiting.clear();
  }
}
