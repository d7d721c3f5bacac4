import { execFile } from 'node:child_process';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { account, region } from './aws.ts';
import { rootCredentials } from './ministack.ts';

const repository = fileURLToPath(new URL('../../', import.meta.url));
const cli = join(dirname(createRequire(import.meta.url).resolve('aws-cdk/package.json')), 'bin', 'cdk');

/** The stock CDK CLI, as an operator runs it, in an environment that knows one AWS only. */
export class Cdk {
  readonly #environment: Readonly<Record<string, string>>;
  readonly #home: string;

  /** @param home what the CLI takes for the home directory: it remembers there which key belongs to which account */
  constructor({ awsUrl, home }: { readonly awsUrl: string; readonly home: string }) {
    this.#home = home;
    this.#environment = {
      PATH: `${dirname(process.execPath)}:${process.env['PATH'] ?? ''}`,
      HOME: home,
      TMPDIR: home,
      AWS_ACCESS_KEY_ID: rootCredentials.accessKeyId,
      AWS_SECRET_ACCESS_KEY: rootCredentials.secretAccessKey,
      AWS_REGION: region,
      AWS_ENDPOINT_URL: awsUrl,
      AWS_EC2_METADATA_DISABLED: 'true',
      CDK_DISABLE_CLI_TELEMETRY: 'true',
      // `npm run synth` and the stack's own tests validate; here a real deployment does.
      CDK_VALIDATION: 'false',
      CI: '1',
      NO_COLOR: '1',
    };
  }

  /** Makes the account ready for deployments. Away from the repository, or the CLI would synthesise what is there first. */
  async bootstrap(): Promise<void> {
    await this.#run(['bootstrap', `aws://${account}/${region}`], { cwd: this.#home });
  }

  /**
   * @returns all that the CLI printed
   * @throws Error with all that the CLI printed
   */
  async run(args: readonly string[], env: Readonly<Record<string, string>> = {}): Promise<string> {
    return this.#run(args, { cwd: repository, env });
  }

  async #run(
    args: readonly string[],
    { cwd, env = {} }: { readonly cwd: string; readonly env?: Readonly<Record<string, string>> },
  ): Promise<string> {
    return new Promise((resolve, reject) => {
      execFile(
        process.execPath,
        [cli, '--no-notices', ...args],
        { cwd, env: { ...this.#environment, ...env }, maxBuffer: 2 ** 26 },
        (error, stdout, stderr) => {
          const printed = `${stdout}${stderr}`;
          if (error === null) resolve(printed);
          else reject(new Error(`cdk ${args.join(' ')} failed:\n${printed.slice(-8000)}`, { cause: error }));
        },
      );
    });
  }
}
