"""MiniStack, served as `python -m ministack` serves it, with these differences.

The port it listens on (the argument) is not the port that is in the addresses of its queues and APIs (GATEWAY_PORT).

It ends, and its functions' processes with it, when whoever started it is gone.

It takes events in AWS's own name. AWS and MiniStack refuse those from PutEvents; but here ECS is somebody else, whose
events must come in somewhere. Of the stack's functions none may call PutEvents.

It asks for sqs:SendMessage where SendMessageBatch is called, and so on, as AWS does: there is no permission of the batches' names.
https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/sqs-api-permissions-reference.html

It says for which account a role is assumed, as services do, ECS among them. Here ECS is somebody else, who assumes the roles of tasks
as the account's root.

It lets a function end what it has begun before a new version takes its place, as Lambda does. Otherwise each message that an
update catches comes back only when its visibility timeout is over, three minutes later.
"""

import asyncio
import inspect
import os
import signal
import sys
import threading
import time

from hypercorn.asyncio import serve
from hypercorn.config import Config
from ministack.app import app
from ministack.core import iam_actions, iam_evaluator, lambda_runtime
from ministack.services import eventbridge


def end_with_parent():
    sys.stdin.buffer.read()
    os.killpg(0, signal.SIGKILL)


threading.Thread(target=end_with_parent, daemon=True).start()


def expect(function, *parameters):
    found = list(inspect.signature(function).parameters)
    if found != list(parameters):
        sys.exit(f"{function.__name__} of MiniStack must take {parameters}, it takes {found}: look at what it is now")


expect(eventbridge._put_events, "data", "allow_aws_source")
expect(iam_actions.extract_iam_action, "service", "method", "path", "headers", "body", "query_params")
expect(lambda_runtime.kill_workers, "workers")
expect(iam_evaluator.evaluate_trust_policy, "trust_doc", "caller_arn", "ctx")

eventbridge._put_events.__defaults__ = (True,)

evaluate_trust_policy = iam_evaluator.evaluate_trust_policy


def evaluate_for_account(trust_doc, caller_arn, ctx=None):
    if ctx is not None:
        ctx.service_context = {**(ctx.service_context or {}), "aws:sourceaccount": ctx.principal_account}
    return evaluate_trust_policy(trust_doc, caller_arn, ctx)


iam_evaluator.evaluate_trust_policy = evaluate_for_account

extract_iam_action = iam_actions.extract_iam_action


def extract_documented_action(*args):
    action = extract_iam_action(*args)
    return action.removesuffix("Batch") if action and action.startswith("sqs:") else action


iam_actions.extract_iam_action = extract_documented_action

kill_workers = lambda_runtime.kill_workers
longest_run = 60


def kill_when_free(workers):
    workers = [worker for worker in workers if worker is not None]
    busy = [worker for worker in workers if worker.in_use]
    kill_workers([worker for worker in workers if worker not in busy])

    def wait_and_kill():
        end = time.monotonic() + longest_run
        while any(worker.in_use for worker in busy) and time.monotonic() < end:
            time.sleep(0.05)
        kill_workers(busy)

    if busy:
        threading.Thread(target=wait_and_kill, daemon=True).start()


lambda_runtime.kill_workers = kill_when_free

config = Config()
config.bind = [f"127.0.0.1:{sys.argv[1]}"]
config.keep_alive_timeout = 75
asyncio.run(serve(app, config))
