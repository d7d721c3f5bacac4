import { randomBytes } from 'node:crypto';
import type { Shape } from './shapes.ts';

const lifetime = 3_600_000;

export type AppManifest = {
  readonly name?: string;
  readonly url?: string;
  readonly hook_attributes?: { readonly url: string; readonly active?: boolean };
  readonly redirect_url?: string;
};

/** The App manifest flow: a browser posts a form, GitHub sends it back with a code, the code buys the App's keys once. */
export class AppManifests {
  readonly #codes = new Map<string, { readonly manifest: AppManifest; readonly until: number }>();
  readonly #now: () => number;
  readonly #create: (manifest: AppManifest) => Shape;

  constructor(now: () => number, create: (manifest: AppManifest) => Shape) {
    this.#now = now;
    this.#create = create;
  }

  /** Where the browser is sent after its user agreed; undefined when the form is no manifest. */
  submit(form: URLSearchParams, state: string | null): string | undefined {
    const manifest = parseManifest(form.get('manifest'));
    if (manifest?.redirect_url === undefined || manifest.url === undefined) return undefined;
    const code = randomBytes(20).toString('hex');
    this.#codes.set(code, { manifest, until: this.#now() + lifetime });
    const target = new URL(manifest.redirect_url);
    target.searchParams.set('code', code);
    if (state !== null) target.searchParams.set('state', state);
    return target.href;
  }

  convert(code: string): Shape | undefined {
    const known = this.#codes.get(code);
    this.#codes.delete(code);
    return known === undefined || known.until < this.#now() ? undefined : this.#create(known.manifest);
  }
}

function parseManifest(text: string | null): AppManifest | undefined {
  try {
    return JSON.parse(text ?? '') as AppManifest;
  } catch {
    return undefined;
  }
}
