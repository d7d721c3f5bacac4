/** vCPU that EC2 instances come with, in several families each. A task with Docker has all of its instance's. */
export const instanceCpus = [2, 4, 8, 16, 32, 48, 64, 96] as const;
type InstanceCpu = (typeof instanceCpus)[number];

/** GiB a vCPU: the families with most memory have 8, of which ECS and the system keep a part. */
const mostMemory = 7;

/** By default: three quarters of what the general-purpose families have for these vCPU. */
export function instanceMemory(cpu: InstanceCpu): {
  readonly from: number;
  readonly to: number;
  readonly usual: number;
} {
  return { from: 2, to: mostMemory * cpu, usual: 3 * cpu };
}

/** MiB that an instance must have for a task of so many GiB: ECS and the system keep up to 8 percent to themselves. */
export function instanceMemoryFor(memoryGiB: number): number {
  return Math.ceil((memoryGiB * 1024) / 0.92);
}
