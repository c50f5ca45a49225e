"""A decorator that remembers what a function returned for its arguments."""

import functools

from .lru import LruCache

_MISSING = object()
_SEPARATOR = object()


def make_key(args, kwargs, typed=False):
    """One hashable key for a call. With `typed`, 1 and 1.0 are different arguments."""
    key = tuple(args)
    if kwargs:
        key += (_SEPARATOR,)
        for item in sorted(kwargs.items()):
            key += item
    if typed:
        key += tuple(type(value) for value in args)
        key += tuple(type(value) for _, value in sorted(kwargs.items()))
    return key


def memoize(capacity=128, typed=False):
    """Decorates a function. `function.cache` is its cache, `function.forget(...)` drops one call."""

    def decorate(function):
        cache = LruCache(capacity)

        @functools.wraps(function)
        def wrapper(*args, **kwargs):
            key = make_key(args, kwargs, typed)
            value = cache.get(key, _MISSING)
            if value is _MISSING:
                value = function(*args, **kwargs)
                cache.put(key, value)
            return value

        def forget(*args, **kwargs):
            return cache.discard(make_key(args, kwargs, typed))

        wrapper.cache = cache
        wrapper.forget = forget
        return wrapper

    return decorate
