/**
 * What Fargate sells, in vCPU and GiB.
 * https://docs.aws.amazon.com/AmazonECS/latest/developerguide/task-cpu-memory-error.html
 */
const memoryByCpu = {
  0.25: [0.5, 1, 2],
  0.5: steps(1, 4, 1),
  1: steps(2, 8, 1),
  2: steps(4, 16, 1),
  4: steps(8, 30, 1),
  8: steps(16, 60, 4),
  16: steps(32, 120, 8),
} as const;

export const fargateCpus: readonly FargateCpu[] = [0.25, 0.5, 1, 2, 4, 8, 16];
export type FargateCpu = keyof typeof memoryByCpu;

export function fargateMemory(cpu: FargateCpu): readonly number[] {
  return memoryByCpu[cpu];
}

function steps(from: number, to: number, step: number): readonly number[] {
  return Array.from({ length: (to - from) / step + 1 }, (_, index) => from + index * step);
}
