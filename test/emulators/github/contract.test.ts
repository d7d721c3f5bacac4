import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { loadContract, type Operation } from './contract.ts';
import { connect, startAcme } from './start-acme.ts';

const contract = loadContract();

function operation(method: string, path: string): Operation {
  const matched = contract.match(method, path);
  if (matched === undefined) throw new Error(`${method} ${path} must be described`);
  return matched.operation;
}

describe('the contract', () => {
  const runner = { id: 1, name: 'x', os: 'linux', status: 'online', busy: false, labels: [{ name: 'small' }] };
  const read = operation('GET', '/orgs/acme/actions/runners/1');

  test('takes what GitHub allows, null where it may be null', () => {
    expect(contract.judgeResponse(read, 200, { ...runner, version: null })).toEqual([]);
  });

  test('names what is missing or wrong', () => {
    const { busy, ...rest } = runner;
    expect(busy).toBe(false);
    expect(contract.judgeResponse(read, 200, rest)[0]).toContain("required property 'busy'");
    expect(contract.judgeResponse(read, 200, { ...runner, busy: null })[0]).toContain('/busy must be boolean');
    expect(contract.judgeResponse(read, 418, {})).toEqual(['status 418 is not in the description']);
    expect(contract.judgeResponse(read, 404, {})).toEqual([]);
  });

  test('tells a literal segment from a parameter', () => {
    expect(operation('GET', '/orgs/acme/actions/runners/downloads').id).toBe(
      'actions/list-runner-applications-for-org',
    );
    expect(contract.match('PUT', '/orgs/acme/actions/runners/1')).toBeUndefined();
    expect(contract.match('GET', '/nothing')).toBeUndefined();
  });

  test('judges deliveries', () => {
    expect(contract.judgeWebhook('workflow_job', { action: 'queued' })[0]).toContain('required property');
    expect(contract.judgeWebhook('workflow_job', { action: 'started' })).toEqual([
      'there is no action started of workflow_job',
    ]);
  });
});

describe('a client that breaks the contract', () => {
  let acme: Awaited<ReturnType<typeof startAcme>>;
  beforeEach(async () => {
    acme = await startAcme();
  });
  afterEach(async () => {
    acme.github.contractViolations.length = 0;
    await acme.stop();
  });

  const problems = () => acme.github.contractViolations.map(({ by, problem }) => `${by}: ${problem}`);

  test('is refused with 422, and it is written down', async () => {
    const octokit = connect(acme.github, acme.installations.acme);
    const body = { org: 'acme', name: 'x', runner_group_id: 1 };
    await expect(
      octokit.request('POST /orgs/{org}/actions/runners/generate-jitconfig', body as never),
    ).rejects.toMatchObject({ status: 422 });
    const wrongPage = { org: 'acme', per_page: 'many', colour: 'red' };
    await expect(octokit.request('GET /orgs/{org}/actions/runners', wrongPage as never)).rejects.toMatchObject({
      status: 422,
    });
    await expect(octokit.request('GET /orgs/{org}/actions/jobs', { org: 'acme' } as never)).rejects.toMatchObject({
      status: 404,
    });
    expect(problems()).toEqual([
      expect.stringContaining("client: it must have required property 'labels'"),
      expect.stringContaining('client: per_page=many: /value must be integer'),
      'client: query parameter colour is not in the description',
      'client: is not among the operations described',
    ]);
  });

  test('may ask whether a runner version is deprecated, which not every host answers', async () => {
    const octokit = connect(acme.github, acme.installations.acme);
    await expect(octokit.request('GET /orgs/acme/actions/runners/deprecations/2.336.0')).rejects.toMatchObject({
      status: 404,
    });
    expect(problems()).toEqual([]);
  });

  test('and so is the emulator', async () => {
    acme.github.behave({ runnerDownloads: [{ os: 'linux' } as never] });
    const octokit = connect(acme.github, acme.installations.acme);
    await expect(octokit.actions.listRunnerApplicationsForOrg({ org: 'acme' })).rejects.toMatchObject({ status: 500 });
    expect(problems()[0]).toContain("emulator: /0 must have required property 'architecture'");
  });
});
