"""Java, with Kotlin, Groovy and Scala where Maven builds them: what Maven needs is fetched without Maven being run."""

from .language import Java

__all__ = ["Java"]
