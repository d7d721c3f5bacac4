/** One call that reached an emulated service, whatever became of it. */
export type AwsCall = {
  /** The access key id that signed it. */
  readonly key: string;
  /** As in an action's name: `dynamodb`, `sqs`, `ssm`, `ecs`. */
  readonly service: string;
  readonly operation: string;
  readonly input: Readonly<Record<string, unknown>>;
};
export type OnCall = (call: AwsCall) => void;

/** Who signed a request, and for which service; undefined when it carries no signature we can read. */
export function signerOf(authorization: string): Pick<AwsCall, 'key' | 'service'> | undefined {
  const [, key, service] = /Credential=([^/,\s]+)\/\d+\/[^/,\s]+\/([^/,\s]+)\/aws4_request/.exec(authorization) ?? [];
  return key === undefined || service === undefined ? undefined : { key, service };
}
