type Exception = {
  /** Names of roles; `*` stands for any text. */
  readonly roles: string;
  readonly actions: readonly string[];
  /** As the permission table writes it; `*` stands for any text. */
  readonly resource: string;
  readonly because: string;
};

/** What a role may do though no function and no task was ever seen doing it. Each needs its reason, and goes when it is seen. */
export const neverCalled: readonly Exception[] = [
  {
    roles: '*Role',
    actions: ['logs:CreateLogStream', 'logs:PutLogEvents'],
    resource: 'log-group:*',
    because: "Lambda writes a function's log, and Fargate a task's: no code of ours calls CloudWatch Logs",
  },
  {
    roles: 'RunnersExecutionRole',
    actions: ['ecr:BatchCheckLayerAvailability', 'ecr:BatchGetImage', 'ecr:GetDownloadUrlForLayer'],
    resource: 'repository/*',
    because: 'Fargate pulls the image as this role before the task begins; the emulated ECS has the image already',
  },
  {
    roles: 'RunnersExecutionRole',
    actions: ['ecr:GetAuthorizationToken'],
    resource: '*',
    because: 'Fargate signs in to ECR as this role; the action knows no resource',
  },
  {
    roles: '*Role',
    actions: ['sqs:GetQueueAttributes'],
    resource: 'Queues*',
    because:
      'Lambda asks for it as the function when it polls a queue; the emulated poller is told what it needs to know',
  },
  {
    roles: '*ScheduleRole',
    actions: ['lambda:InvokeFunction'],
    resource: 'function:*',
    because: 'EventBridge Scheduler invokes as this role; the emulated one calls the function itself',
  },
  {
    roles: 'RunnerImage*Role',
    actions: ['s3:GetObject', 's3:GetObjectVersion'],
    resource: 'cdk-*-assets-*/HASH.zip',
    because: 'CodeBuild fetches what it builds from as this role before a build begins',
  },
  {
    roles: 'RunnerImage*Role',
    actions: ['ecr:GetAuthorizationToken'],
    resource: '*',
    because: 'a build signs in to ECR to push; the action knows no resource, and builds are not run here',
  },
  {
    roles: 'RunnerImage*Role',
    actions: [
      'ecr:BatchCheckLayerAvailability',
      'ecr:BatchDeleteImage',
      'ecr:BatchGetImage',
      'ecr:CompleteLayerUpload',
      'ecr:GetDownloadUrlForLayer',
      'ecr:InitiateLayerUpload',
      'ecr:PutImage',
      'ecr:UploadLayerPart',
    ],
    resource: 'repository/RunnerImageRepository',
    because:
      'a build pushes the image, pulls it to try it, moves its tags; runner-image/build-image.sh is not run here',
  },
  {
    roles: 'ScaleUpRole',
    actions: ['dynamodb:BatchGetItem'],
    resource: 'table/TablesClaims',
    because: 'launches of one batch read the tokens of several scopes together, if none of them is in memory',
  },
];
