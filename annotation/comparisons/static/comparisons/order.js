// An order of answers with ties, as levels: [[1], [0, 2]] is the second answer first, then the other two, equal.
// Nothing here touches the page.

export function begun(count) {
  return Array.from({ length: count }, (_, answer) => [answer]);
}

// The level of each answer, 1 the best, as it is sent; and back.
export function levelsOf(order) {
  const levels = [];
  order.forEach((level, place) => level.forEach((answer) => (levels[answer] = place + 1)));
  return levels;
}

export function orderOf(levels) {
  const places = [...new Set(levels)].sort((a, b) => a - b);
  return places.map((place) => levels.flatMap((level, answer) => (level === place ? [answer] : [])));
}

function placeOf(order, answer) {
  return order.findIndex((level) => level.includes(answer));
}

function without(order, answer) {
  return order.map((level) => level.filter((other) => other !== answer));
}

const filled = (order) => order.filter((level) => level.length);

// One place towards the best (by = -1) or the worst (by = 1). One of a tie leaves it to that side.
export function moved(order, answer, by) {
  const place = placeOf(order, answer);
  const tied = order[place].length > 1;
  const rest = without(order, answer);
  const at = tied ? place + (by > 0 ? 1 : 0) : place + by + (by > 0 ? 1 : 0);
  rest.splice(Math.max(0, at), 0, [answer]);
  return filled(rest);
}

// The same level as the one above (of the first: as the one below); one of a tie stands alone again, below it.
export function tied(order, answer) {
  const place = placeOf(order, answer);
  const rest = without(order, answer);
  if (order[place].length > 1) rest.splice(place + 1, 0, [answer]);
  else rest[place === 0 ? 1 : place - 1].push(answer);
  return filled(rest).map((level) => [...level].sort((a, b) => a - b));
}

// Dropped on another answer: "before" it, "after" it, or on the "same" level.
export function dropped(order, answer, target, where) {
  if (answer === target) return order;
  const rest = without(order, answer);
  const place = placeOf(rest, target);
  if (where === "same") rest[place].push(answer);
  else rest.splice(place + (where === "after" ? 1 : 0), 0, [answer]);
  return filled(rest).map((level) => [...level].sort((a, b) => a - b));
}
