import { randomUUID } from 'node:crypto';
import { AwsError, JsonService, type Call } from '../../emulators/aws/aws-json.ts';

type StubTask = { readonly taskArn: string; readonly clusterArn: string; readonly startedBy: string };

const clusterArn = 'arn:aws:ecs:us-east-1:111122223333:cluster/runners';

/** As much of ECS as a launch needs: a task is an entry in a list, one for each client token. */
export class TaskStub {
  readonly clusterArn = clusterArn;
  readonly #tasks = new Map<string, StubTask>();
  #service: JsonService | undefined;

  static async start(): Promise<TaskStub> {
    const stub = new TaskStub();
    stub.#service = await JsonService.start({
      contentType: 'application/x-amz-json-1.1',
      perform: async (call) => Promise.resolve(stub.#perform(call)),
    });
    return stub;
  }

  get service(): JsonService {
    if (this.#service === undefined) throw new Error('the stub has not started');
    return this.#service;
  }

  /** The id of the runner of each task. */
  get runnerIds(): readonly string[] {
    return [...this.#tasks.values()].map(({ startedBy }) => startedBy);
  }

  #perform({ operation, input }: Call): unknown {
    const tasks = [...this.#tasks.values()];
    switch (operation) {
      case 'RunTask':
        return { tasks: [described(this.#run(String(input['clientToken'] ?? randomUUID()), input))], failures: [] };
      case 'ListTasks': {
        const { startedBy } = input;
        const found = tasks.filter((task) => startedBy === undefined || task.startedBy === startedBy);
        return { taskArns: found.map(({ taskArn }) => taskArn) };
      }
      case 'DescribeTasks': {
        const asked = input['tasks'] as string[];
        return { tasks: tasks.filter(({ taskArn }) => asked.includes(taskArn)).map(described), failures: [] };
      }
      default:
        throw new AwsError('UnknownOperationException', `the bench has no ${operation}`);
    }
  }

  #run(clientToken: string, input: Call['input']): StubTask {
    const taskArn = `${clusterArn.replace(':cluster/', ':task/')}/${randomUUID().replaceAll('-', '')}`;
    const task = this.#tasks.get(clientToken) ?? { taskArn, clusterArn, startedBy: String(input['startedBy']) };
    this.#tasks.set(clientToken, task);
    return task;
  }
}

function described(task: StubTask): unknown {
  return { ...task, lastStatus: 'PROVISIONING', desiredStatus: 'RUNNING', containers: [], tags: [] };
}
