import { describe, expect, test } from '@jest/globals';
import { capacityOf, isFargate, isSpot, providersOf } from '../../../functions/contracts/with-infra/providers.ts';

const onFargate = providersOf('github-runners-ci', { name: 'small', docker: false });
const onInstances = providersOf('github-runners-ci', { name: 'small', docker: true });

describe("a profile's capacity providers", () => {
  test('are those of Fargate', () => {
    expect(onFargate).toEqual({ onDemand: 'FARGATE', spot: 'FARGATE_SPOT' });
    expect(Object.values(onFargate).every((provider) => isFargate(provider))).toBe(true);
  });

  test('are its own with Docker, and those of no other profile or stack', () => {
    const others = [
      providersOf('github-runners-ci', { name: 'small-spot', docker: true }),
      providersOf('github-runners-ci', { name: 'smal', docker: true }),
      providersOf('github-runners-other', { name: 'small', docker: true }),
    ].flatMap((providers) => Object.values(providers));
    expect(new Set([...Object.values(onInstances), ...others]).size).toBe(8);
    expect(Object.values(onInstances).some((provider) => isFargate(provider))).toBe(false);
  });

  // https://docs.aws.amazon.com/AmazonECS/latest/APIReference/API_CreateCapacityProvider.html
  test('have names that ECS takes, however long those of stack and profile are', () => {
    const { onDemand, spot } = providersOf('s'.repeat(128), { name: 'p'.repeat(24), docker: true });
    for (const name of [onDemand, spot]) expect(name).toMatch(/^(?!aws|ecs|fargate)[A-Za-z0-9_-]{1,255}$/);
  });

  // The names that people choose first.
  const likely = ['spot', 'on-demand', 'docker'].map((name) => providersOf('ci', { name, docker: true }));
  test.each([onFargate, onInstances, ...likely])('are told apart as on demand and Spot: %j', ({ onDemand, spot }) => {
    expect([isSpot(onDemand), isSpot(spot)]).toEqual([false, true]);
  });

  test('are four to a metric, whatever the profiles are called', () => {
    const names = [onFargate, onInstances].flatMap(({ onDemand, spot }) => [capacityOf(onDemand), capacityOf(spot)]);
    expect(names).toEqual(['FARGATE', 'FARGATE_SPOT', 'MANAGED_INSTANCES', 'MANAGED_INSTANCES_SPOT']);
  });
});
