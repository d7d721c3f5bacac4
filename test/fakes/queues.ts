import type { LaunchMessage, SightingMessage } from '../../functions/contracts/between-rooms/messages.ts';
import {
  decodeSightingMessage,
  decodeLaunchMessage,
  encodeMessage,
} from '../../functions/contracts/between-rooms/messages.ts';

type SentLaunch = { readonly message: LaunchMessage; readonly delayMs: number };

export type FakeQueues = {
  /** What waits to be delivered, oldest first. */
  readonly launches: SentLaunch[];
  readonly events: SightingMessage[];
  readonly sendLaunch: (message: LaunchMessage, delayMs?: number) => Promise<void>;
  readonly sendLaunches: (messages: readonly LaunchMessage[]) => Promise<void>;
  readonly sendEvent: (event: SightingMessage) => Promise<void>;
  /** Takes everything off the jobs queue, as it would arrive. */
  readonly takeLaunches: () => LaunchMessage[];
  readonly takeEvents: () => SightingMessage[];
  /** The next so many messages are not taken. */
  readonly failNext: (error: Error, times?: number) => void;
};

/** The two queues in memory. Messages pass through their encoding, as they do in SQS. */
export function fakeQueues(): FakeQueues {
  const launches: SentLaunch[] = [];
  const events: SightingMessage[] = [];
  const failures: Error[] = [];
  const mayFail = (): void => {
    const failure = failures.shift();
    if (failure !== undefined) throw failure;
  };
  const sendLaunch: FakeQueues['sendLaunch'] = async (message, delayMs = 0) => {
    mayFail();
    launches.push({ message: decodeLaunchMessage(encodeMessage(message)), delayMs });
  };
  return {
    launches,
    events,
    sendLaunch,
    sendLaunches: async (messages) => {
      for (const message of messages) await sendLaunch(message);
    },
    sendEvent: async (event) => {
      mayFail();
      events.push(decodeSightingMessage(encodeMessage(event)));
    },
    takeLaunches: () => launches.splice(0).map(({ message }) => message),
    takeEvents: () => events.splice(0),
    failNext: (error, times = 1) => {
      failures.push(...Array.from({ length: times }, () => error));
    },
  };
}
