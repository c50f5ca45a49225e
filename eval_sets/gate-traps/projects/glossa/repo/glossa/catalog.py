"""Catalogues of messages by language."""


class Catalog:
    """Messages by key for each language; `fallback` is used where a language has none."""

    def __init__(self, messages, fallback="en"):
        self.messages = messages
        self.fallback = fallback

    def chain(self, language):
        """The languages to look in: `pt-BR`, then `pt`, then the fallback; each once."""
        found = []
        for one in (language, language.split("-")[0], self.fallback):
            if one not in found:
                found.append(one)
        return found

    def get(self, language, key):
        """The message, or the key itself if no language of the chain has it."""
        for one in self.chain(language):
            text = self.messages.get(one, {}).get(key)
            if text is not None:
                return text
        return key

    def missing(self, language):
        """Keys of the fallback that a language lacks, sorted."""
        return sorted(set(self.messages.get(self.fallback, {})) - set(self.messages.get(language, {})))
