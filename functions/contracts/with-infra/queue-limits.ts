/** A message that was received this often and not finished goes to the dead-letter queue. The stack makes the queues so. */
export const mostReceives = 10;
/** What `end-fleet` has: a task has two minutes to end, and the rest is for stopping very many. */
export const endFleetSeconds = 600;
/** And with Docker, where instances go some minutes after their last task: the most that Lambda gives. */
export const endDockerFleetSeconds = 900;
/** What any other function has for one invocation. */
export const functionSeconds = 30;
/** No invocation may outlive the time its messages are hidden: six times as long, as AWS advises. */
export const visibilitySeconds = 6 * functionSeconds;
