/**
 * Makes `Date` of this thread follow a clock of another thread by its shared offset. Only `Date`: timers and
 * `performance.now()` stay real, as they do for anyone who turns a watch.
 */
export function turnDate(offset: BigInt64Array): void {
  const RealDate = Date;
  const now = (): number => RealDate.now() + Number(Atomics.load(offset, 0));
  const TurnedDate = new Proxy(RealDate, {
    construct: (target, args: unknown[], made) =>
      Reflect.construct(target, args.length === 0 ? [now()] : args, made) as Date,
    apply: () => new RealDate(now()).toString(),
    get: (target, name, receiver): unknown => (name === 'now' ? now : Reflect.get(target, name, receiver)),
  });
  RealDate.prototype.constructor = TurnedDate;
  globalThis.Date = TurnedDate;
}
