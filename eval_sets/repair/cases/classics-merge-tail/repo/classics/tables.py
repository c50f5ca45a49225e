"""Dynamic programming."""


def edit_distance(one, other):
    """Insertions, deletions and replacements that turn one text into the other."""
    previous = list(range(len(other) + 1))
    for i, a in enumerate(one, start=1):
        current = [i]
        for j, b in enumerate(other, start=1):
            current.append(min(
                previous[j] + 1,
                current[j - 1] + 1,
                previous[j - 1] + (a != b),
            ))
        previous = current
    return previous[-1]


def longest_common_subsequence(one, other):
    lengths = [[0] * (len(other) + 1) for _ in range(len(one) + 1)]
    for i, a in enumerate(one):
        for j, b in enumerate(other):
            if a == b:
                lengths[i + 1][j + 1] = lengths[i][j] + 1
            else:
                lengths[i + 1][j + 1] = max(lengths[i][j + 1], lengths[i + 1][j])
    result = []
    i, j = len(one), len(other)
    while i and j:
        if one[i - 1] == other[j - 1]:
            result.append(one[i - 1])
            i, j = i - 1, j - 1
        elif lengths[i - 1][j] >= lengths[i][j - 1]:
            i -= 1
        else:
            j -= 1
    return "".join(reversed(result))


def knapsack(items, capacity):
    """The largest value of (weight, value) items that fit; each may be taken once."""
    best = [0] * (capacity + 1)
    for weight, value in items:
        for room in range(capacity, weight - 1, -1):
            best[room] = max(best[room], best[room - weight] + value)
    return best[capacity]


def change(coins, amount):
    """The smallest number of coins for an amount, or None if it can't be paid."""
    counts = [0] + [None] * amount
    for part in range(1, amount + 1):
        for coin in coins:
            if coin <= part and counts[part - coin] is not None:
                if counts[part] is None or counts[part - coin] + 1 < counts[part]:
                    counts[part] = counts[part - coin] + 1
    return counts[amount]


def longest_increasing(numbers):
    """The length of the longest strictly increasing subsequence."""
    from classics.search import first_at_least

    tails = []
    for number in numbers:
        place = first_at_least(tails, number)
        if place == len(tails):
            tails.append(number)
        else:
            tails[place] = number
    return len(tails)


def max_slice(numbers):
    """(sum, start, end) of the slice with the largest sum; at least one number belongs to it."""
    best = (numbers[0], 0, 1)
    total, start = 0, 0
    for index, number in enumerate(numbers):
        if total <= 0:
            total, start = 0, index
        total += number
        if total > best[0]:
            best = (total, start, index + 1)
    return best


def permutations(items):
    """All orders, in the order of the items."""
    if not items:
        return [[]]
    found = []
    for index, item in enumerate(items):
        for rest in permutations(items[:index] + items[index + 1:]):
            found.append([item] + rest)
    return found
