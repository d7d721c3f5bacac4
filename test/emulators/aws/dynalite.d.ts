// dynalite ships no types. These are the parts that `dynalite-store.ts` uses, as of the exact version package.json pins.
declare module 'dynalite/db/index.js' {
  type Answer<T> = (error: unknown, value: T) => void;
  type ItemDb = { get(key: string, answer: Answer<unknown>): void };
  export type Store = {
    readonly tableDb: { awsAccountId: string; awsRegion: string };
    readonly db: { close(answer: (error: unknown) => void): void };
    getTable(name: string, answer: Answer<unknown>): void;
    getItemDb(name: string): ItemDb;
  };
  const db: {
    create(options: { createTableMs: number; deleteTableMs: number; updateTableMs: number }): Store;
    createKey(item: unknown, table: unknown): string;
    validateKey(key: unknown, table: unknown): Error | null | undefined;
    validateItem(item: unknown, table: unknown): Error | null | undefined;
    checkConditional(parsed: unknown, existing: unknown): Error | null | undefined;
  };
  export default db;
}
declare module 'dynalite/validations/index.js' {
  const validations: {
    checkTypes(input: unknown, types: unknown): unknown;
    checkValidations(input: unknown, types: unknown, custom: unknown, store: unknown): void;
  };
  export default validations;
}
