import { readFileSync } from 'node:fs';
import { join } from 'node:path';

export type Row = Readonly<Record<string, string>>;

/** The rows of the tables under a heading of a page in `docs/`, by the names of their columns. */
export function tableRows(page: string, heading: string): Row[] {
  const text = readFileSync(join(import.meta.dirname, '../../docs', page), 'utf8');
  const section = text.split(/^(?=#+ )/m).find((part) => part.replace(/^#+ /, '').startsWith(`${heading}\n`));
  if (section === undefined) throw new Error(`docs/${page} must have a heading "${heading}"`);
  const rows: Row[] = [];
  let columns: readonly string[] | undefined;
  for (const line of section.split('\n')) {
    if (!line.startsWith('|')) columns = undefined;
    else if (columns === undefined) columns = cellsOf(line);
    else if (!/^\|[\s|:-]+$/.test(line)) {
      const cells = cellsOf(line);
      rows.push(Object.fromEntries(columns.map((column, at) => [column, cells[at] ?? ''])));
    }
  }
  return rows;
}

/** What stands between backticks, span by span. */
export function codeSpans(cell: string): string[] {
  return [...cell.matchAll(/`([^`]+)`/g)].map(([, code = '']) => code);
}

function cellsOf(line: string): string[] {
  return line
    .split('|')
    .slice(1, -1)
    .map((cell) => cell.trim());
}
