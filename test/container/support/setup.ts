/** Before the first container test: an engine and the images. */
import { findEngine, makeImages } from './engine.ts';

declare module 'vitest' {
  interface ProvidedContext {
    /** For DOCKER_HOST; null where there is none, and why. */
    engine: { readonly host: string } | { readonly host: null; readonly reason: string };
  }
}

interface Project {
  provide(key: 'engine', value: { host: string } | { host: null; reason: string }): void;
}

export async function setup({ provide }: Project): Promise<(() => Promise<void>) | undefined> {
  try {
    const engine = await findEngine();
    await makeImages(engine.host);
    provide('engine', { host: engine.host });
    return () => engine.stop();
  } catch (error) {
    // Where everything has to be tested nothing may be skipped.
    if (process.env['CI']) throw error;
    const reason = (error as Error).message;
    console.warn(`container tests are skipped: ${reason}`);
    provide('engine', { host: null, reason });
    return undefined;
  }
}
