import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { answerDeployment, isDeployment } from '../../functions/aws/deployments.ts';
import { CloudFormation } from '../fakes/cloud-formation.ts';

let cloudFormation: CloudFormation;

beforeEach(async () => {
  cloudFormation = await CloudFormation.start();
});
afterEach(async () => {
  await cloudFormation.stop();
});

/** https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/crpg-ref-responses.html */
const fields = {
  required: ['LogicalResourceId', 'PhysicalResourceId', 'Reason', 'RequestId', 'StackId', 'Status'],
  mostBytes: 4096,
};

describe('the answer to a deployment', () => {
  test('is put once where CloudFormation waits, in the shape that its reference asks for', async () => {
    const event = cloudFormation.ask('Create');
    await answerDeployment(event);
    expect(cloudFormation.answers).toHaveLength(1);
    const [answer] = cloudFormation.answers;
    expect(answer).toMatchObject({
      method: 'PUT',
      path: new URL(event.ResponseURL).pathname + new URL(event.ResponseURL).search,
    });
    const [told = {}] = cloudFormation.told;
    expect(Object.keys(told).toSorted()).toEqual(fields.required);
    expect(told).toMatchObject({
      Status: 'SUCCESS',
      StackId: event.StackId,
      RequestId: event.RequestId,
      LogicalResourceId: event.LogicalResourceId,
    });
  });

  test('has no content type and is not chunked, as S3 would refuse it by its signature', async () => {
    await answerDeployment(cloudFormation.ask('Create'));
    const { headers, body = '' } = cloudFormation.answers[0] ?? {};
    expect(headers?.['content-type']).toBe('');
    expect(headers?.['transfer-encoding']).toBeUndefined();
    expect(headers?.['content-length']).toBe(String(Buffer.byteLength(body)));
  });

  test('says why a deployment must fail', async () => {
    await answerDeployment(cloudFormation.ask('Delete'), 'tasks are left');
    expect(cloudFormation.told).toMatchObject([{ Status: 'FAILED', Reason: 'tasks are left' }]);
  });

  test('is tried three times, with pauses that grow', async () => {
    cloudFormation.statuses.push(500, 500);
    const pauses: number[] = [];
    await answerDeployment(cloudFormation.ask('Create'), undefined, async (ms) => pauses.push(ms));
    expect(cloudFormation.told).toMatchObject(Array.from({ length: 3 }, () => ({ Status: 'SUCCESS' })));
    expect(pauses).toEqual([500, 1000]);
  });

  test.each([
    ['is refused', 403, /went: HTTP 403$/],
    ['breaks', 0, /went: .*fetch failed/],
  ])('that %s each time fails, and says how', async (_, status, why) => {
    cloudFormation.statuses.push(status, status, status, status);
    await expect(answerDeployment(cloudFormation.ask('Create'), undefined, async () => {})).rejects.toThrow(why);
    expect(cloudFormation.answers).toHaveLength(3);
  });

  test('names the resource alike from its creation to its deletion: another name would replace it', async () => {
    await answerDeployment(cloudFormation.ask('Create'));
    const [created] = cloudFormation.told;
    const PhysicalResourceId = String(created?.['PhysicalResourceId']);
    for (const type of ['Update', 'Delete'] as const) {
      await answerDeployment(cloudFormation.ask(type, { PhysicalResourceId }));
    }
    expect(PhysicalResourceId).not.toBe('');
    expect(cloudFormation.told.map((told) => told['PhysicalResourceId'])).toEqual(
      Array.from({ length: 3 }, () => PhysicalResourceId),
    );
  });

  test('names a resource that had another name as it was', async () => {
    const named = cloudFormation.ask('Update', { PhysicalResourceId: 'made-by-an-older-version' });
    await answerDeployment(named);
    expect(cloudFormation.told).toMatchObject([{ PhysicalResourceId: 'made-by-an-older-version' }]);
  });

  test.each(['a', '"', '\n', '€', '🏃'])(
    'fits into what CloudFormation takes, though much went wrong: %j',
    async (much) => {
      await answerDeployment(cloudFormation.ask('Delete'), much.repeat(5000));
      const { body = '' } = cloudFormation.answers[0] ?? {};
      expect(Buffer.byteLength(body)).toBeLessThanOrEqual(fields.mostBytes);
      const Reason = expect.stringMatching(new RegExp(`^(${much}){500}`)) as unknown;
      expect(cloudFormation.told).toMatchObject([{ Status: 'FAILED', Reason }]);
    },
  );
});

describe('a deployment', () => {
  test.each(['Create', 'Update', 'Delete'] as const)('is known by what CloudFormation asks: %s', (type) => {
    expect(isDeployment(cloudFormation.ask(type))).toBe(true);
  });

  test.each([
    ['a schedule', { id: '1', source: 'aws.scheduler', detail: {} }],
    ['a request without an address to answer to', { RequestType: 'Create' }],
    ['an address without a request', { ResponseURL: 'https://bucket.example' }],
    ['nothing', null],
    ['a text', 'ResponseURL RequestType'],
    ['an empty event', {}],
  ])('is not %s', (_, event) => {
    expect(isDeployment(event)).toBe(false);
  });
});
