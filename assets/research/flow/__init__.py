"""The durable flow: questions and sub-questions as messages, taken by any number of workers."""
