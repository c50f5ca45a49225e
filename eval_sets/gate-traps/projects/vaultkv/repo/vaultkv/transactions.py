"""Several changes at once, or none."""


class Transaction:
    """Use with `with`: an exception undoes every change that was made through the transaction."""

    def __init__(self, store):
        self.store = store
        self._before = []

    def set(self, key, value):
        self._remember(key)
        self.store.set(key, value)

    def delete(self, key):
        self._remember(key)
        return self.store.delete(key)

    def _remember(self, key):
        missing = object()
        value = self.store.get(key, missing)
        self._before.append((key, value is not missing, value))

    def __enter__(self):
        return self

    def __exit__(self, kind, error, trace):
        if kind is not None:
            for key, existed, value in reversed(self._before):
                if existed:
                    self.store.set(key, value)
                else:
                    self.store.delete(key)
        self._before.clear()
        return False
