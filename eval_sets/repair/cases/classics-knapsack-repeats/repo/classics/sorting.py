"""Sorting."""


def merge(left, right):
    """Two sorted lists as one; of equal items those of `left` come first."""
    merged = []
    i = j = 0
    while i < len(left) and j < len(right):
        if right[j] < left[i]:
            merged.append(right[j])
            j += 1
        else:
            merged.append(left[i])
            i += 1
    merged.extend(left[i:])
    merged.extend(right[j:])
    return merged


def merge_sort(items):
    if len(items) <= 1:
        return list(items)
    middle = len(items) // 2
    return merge(merge_sort(items[:middle]), merge_sort(items[middle:]))


def quickselect(items, k):
    """The k-th smallest item, counted from 0."""
    if not 0 <= k < len(items):
        raise IndexError(k)
    pivot = items[len(items) // 2]
    below = [item for item in items if item < pivot]
    equal = [item for item in items if item == pivot]
    if k < len(below):
        return quickselect(below, k)
    if k < len(below) + len(equal):
        return pivot
    above = [item for item in items if item > pivot]
    return quickselect(above, k - len(below) - len(equal))


def counting_sort(numbers, highest):
    """Sorts integers from 0 to `highest`."""
    counts = [0] * (highest + 1)
    for number in numbers:
        counts[number] += 1
    result = []
    for number, count in enumerate(counts):
        result.extend([number] * count)
    return result


def sift_down(heap, start, end):
    """Restores the order of a max heap in heap[start:end], whose root may be too small."""
    root = start
    while 2 * root + 1 < end:
        child = 2 * root + 1
        if child + 1 < end and heap[child] < heap[child + 1]:
            child += 1
        if heap[root] >= heap[child]:
            return
        heap[root], heap[child] = heap[child], heap[root]
        root = child


def heap_sort(items):
    heap = list(items)
    for start in range(len(heap) // 2 - 1, -1, -1):
        sift_down(heap, start, len(heap))
    for end in range(len(heap) - 1, 0, -1):
        heap[0], heap[end] = heap[end], heap[0]
        sift_down(heap, 0, end)
    return heap
