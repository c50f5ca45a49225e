// A reporter for node:test: yields one JSON object for each test, with its file, its names and its outcome.
import path from 'node:path';

const MOST = 8000;

export default async function* reporter(source) {
  const open = new Map();
  const said = new Map();
  for await (const { type, data } of source) {
    const file = data?.file || '';
    if (type === 'test:stderr') said.set(file, ((said.get(file) || '') + data.message).slice(-MOST));
    if (type === 'test:stderr' || type === 'test:stdout' || !data || data.name === undefined) continue;
    const stack = open.get(file) || [];
    open.set(file, stack);
    if (type === 'test:start') {
      stack.length = data.nesting;
      stack[data.nesting] = data.name;
    }
    if (type !== 'test:pass' && type !== 'test:fail') continue;
    const names = [...stack.slice(0, data.nesting), data.name].map(String);
    const error = data.details?.error;
    const cause = error?.cause ?? error;
    const kind = error?.failureType || '';
    const isFile = data.nesting === 0 && /[\\/]/.test(data.name) && path.resolve(data.name) === path.resolve(file || data.name)
      && /\.[cm]?[jt]sx?$/.test(data.name);
    let outcome = type === 'test:pass' ? 'passed' : 'failed';
    if (data.skip !== undefined && data.skip !== false) outcome = 'skipped';
    if (data.todo !== undefined && data.todo !== false) outcome = 'skipped';
    let message = outcome === 'failed' ? String(cause?.stack || cause?.message || cause || error).slice(0, 20000) : '';
    if (isFile) message = `${message}\n${said.get(file) || said.get(path.resolve(data.name)) || ''}`.trim();
    yield JSON.stringify({
      file: isFile ? path.resolve(data.name) : file,
      names,
      outcome,
      ms: data.details?.duration_ms,
      message,
      line: data.line,
      isFile,
      suite: data.details?.type === 'suite',
      inner: kind === 'subtestsFailed',
    }) + '\n';
  }
}
