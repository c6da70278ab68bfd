// Word-level differences of two texts: which words of each are not in the other, in order (longest common
// subsequence after the common start and end are set aside).

const MOST_CELLS = 4_000_000;

export function words(text) {
  return text.match(/\r?\n|[^\S\n]+|[\p{L}\p{N}\p{M}_'’-]+|[^\s\p{L}\p{N}\p{M}_'’-]/gu) || [];
}

// Two arrays of {text, only}; null when the texts are too long to compare.
export function wordDifferences(left, right) {
  const a = words(left);
  const b = words(right);
  let start = 0;
  while (start < a.length && start < b.length && a[start] === b[start]) start += 1;
  let end = 0;
  while (end < a.length - start && end < b.length - start && a.at(-1 - end) === b.at(-1 - end)) end += 1;
  const n = a.length - start - end;
  const m = b.length - start - end;
  if (n * m > MOST_CELLS) return null;
  const [inA, inB] = common(a.slice(start, start + n), b.slice(start, start + m), n, m);
  return [mark(a, start, n, inA), mark(b, start, m, inB)];
}

function common(a, b, n, m) {
  const width = m + 1;
  const length = new Uint16Array((n + 1) * width);
  for (let i = n - 1; i >= 0; i -= 1) {
    for (let j = m - 1; j >= 0; j -= 1) {
      length[i * width + j] =
        a[i] === b[j]
          ? length[(i + 1) * width + j + 1] + 1
          : Math.max(length[(i + 1) * width + j], length[i * width + j + 1]);
    }
  }
  const inA = new Set();
  const inB = new Set();
  for (let i = 0, j = 0; i < n && j < m; ) {
    if (a[i] === b[j]) {
      inA.add(i++);
      inB.add(j++);
    } else if (length[(i + 1) * width + j] >= length[i * width + j + 1]) i += 1;
    else j += 1;
  }
  return [inA, inB];
}

function mark(all, start, count, shared) {
  return all.map((text, index) => ({
    text,
    only: index >= start && index < start + count && !shared.has(index - start),
  }));
}
