export type Acknowledgement = {
  /** As cdk-nag names it; `*` stands for any text, as hashes are in it. */
  readonly rule: string;
  /** Paths below the stack; `*` stands for any text. */
  readonly at: readonly string[];
  readonly because: string;
};

/** What the rules find and we leave as it is. */
export const acknowledged: readonly Acknowledgement[] = [
  {
    rule: 'AwsSolutions-VPC7',
    at: ['Network/Vpc', 'DockerNetwork/PrivateVpc'],
    because:
      'flow logs are paid by the gigabyte that jobs move, and nothing here reads them; who must have them adds them',
  },
  {
    rule: 'AwsSolutions-DDB3',
    at: ['Tables/Ledger'],
    because:
      'the ledger is a cache of what GitHub and ECS know: it comes back by itself, and an old one would be wrong',
  },
  {
    rule: 'AwsSolutions-DDB3',
    at: ['Tables/Claims'],
    because: 'claims are secrets that live for minutes, and a backup would keep them for weeks',
  },
  {
    rule: 'Serverless-SQSRedrivePolicy',
    at: ['Queues/JobsDeadLetters', 'Queues/EventsDeadLetters', 'Queues/StopsDeadLetters'],
    because: 'these are the dead-letter queues: what is in them waits for a person, and an alarm calls one',
  },
  {
    rule: 'AwsSolutions-ECS2',
    at: ['Runners/*Task'],
    because: 'the variables are the name of a table and what the operator wrote for jobs; no secret comes this way',
  },
  {
    rule: 'AwsSolutions-ECS4',
    at: ['Runners/Cluster'],
    because: 'Container Insights is paid for each task; what a runner does is in the metrics of the fleet',
  },
  {
    rule: 'AwsSolutions-CB4',
    at: ['RunnerImage/*Build'],
    because: 'the key is for artifacts, and a build has none: it pushes its image to ECR, which encrypts it',
  },
  {
    rule: 'AwsSolutions-APIG4',
    at: ['Webhook/Api/POST--webhook'],
    because: 'GitHub signs the body, and no authorizer of an HTTP API gets to see it: the function verifies it',
  },
  {
    rule: 'AwsSolutions-IAM5[Resource::*]',
    at: ['RunnerImage/*Role/DefaultPolicy', 'Runners/ExecutionRole/DefaultPolicy'],
    because: 'ecr:GetAuthorizationToken knows no resource',
  },
  {
    rule: 'AwsSolutions-IAM5[Resource::*]',
    at: ['ScaleDown/Role/DefaultPolicy', 'ScaleUp/Role/DefaultPolicy', 'EndFleet/Role/DefaultPolicy'],
    because: 'ecs:ListTasks knows no resource; its condition names the cluster',
  },
  {
    rule: 'AwsSolutions-IAM5[Resource::*]',
    at: ['Runners/Docker/InstanceRole'],
    because: 'ecs:DiscoverPollEndpoint knows no resource',
  },
  {
    rule: 'AwsSolutions-IAM5[Resource::arn:*:container-instance/<RunnersCluster*>/*]',
    at: ['Runners/Docker/InstanceRole'],
    because: 'ECS makes up the ids of instances; it is every instance of our own cluster, where there are only ours',
  },
  {
    rule: 'AwsSolutions-IAM4[Policy::*AmazonECSInfrastructureRolePolicyForManagedInstances]',
    at: ['Runners/Docker/InfrastructureRole'],
    because:
      'what ECS does with instances changes with ECS, and AWS changes its policy with it; a copy would lag behind',
  },
  {
    rule: 'AwsSolutions-IAM5[Resource::arn:*:task-definition/fleet_*:*]',
    at: ['ScaleUp/Role/DefaultPolicy'],
    because: 'any revision of our own families: functions and task definitions do not change in the same instant',
  },
  {
    rule: 'AwsSolutions-IAM5[Resource::arn:*:task/<RunnersCluster*>/*]',
    at: [
      'ScaleUp/Role/DefaultPolicy',
      'TrackJobs/Role/DefaultPolicy',
      'ScaleDown/Role/DefaultPolicy',
      'EndFleet/Role/DefaultPolicy',
    ],
    because: 'ECS makes up the ids of tasks; it is every task of our own cluster, where there are only ours',
  },
  {
    rule: 'Serverless-LambdaDLQ',
    at: ['Webhook/Function'],
    because: 'API Gateway waits for its answer, and GitHub keeps what failed: redeliver asks for it again',
  },
  {
    rule: 'Serverless-LambdaDLQ',
    at: ['ScaleUp/Function', 'TrackJobs/Function', 'TaskStopped/Function'],
    because: 'the queue it reads has one, after ten tries',
  },
  {
    rule: 'Serverless-LambdaDLQ',
    at: ['Replenish/Function', 'ScaleDown/Function', 'Redeliver/Function', 'BuildImage/Function'],
    because: 'it runs by the clock: what one run could not do the next one does, and an alarm tells of it',
  },
  {
    rule: 'Serverless-LambdaDLQ',
    at: ['EndFleet/Function'],
    because: 'CloudFormation waits for its answer, and fails the deletion without one',
  },
  {
    rule: 'Serverless-LambdaAsyncFailureDestination',
    at: ['Replenish/*', 'ScaleDown/*', 'Redeliver/*', 'BuildImage/*'],
    because: 'the event is nothing but the time: to keep it would help nobody',
  },
  {
    rule: 'Serverless-LambdaAsyncFailureDestination',
    at: ['EndFleet/*'],
    because: 'CloudFormation waits for the answer, and whoever deletes the stack sees that there was none',
  },
  {
    rule: 'Serverless-LambdaEventSourceMappingDestination',
    at: ['ScaleUp/Function/Messages', 'TrackJobs/Function/Messages', 'TaskStopped/Function/Messages'],
    because: 'of a queue there is no such destination: its redrive policy is what takes its place',
  },
  {
    rule: 'Serverless-LambdaTracing',
    at: ['*/Function'],
    because:
      'each decision is a log line with the ids of delivery, job and runner; X-Ray would be one more right and bill each',
  },
];
