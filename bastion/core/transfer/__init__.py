"""Files on their way to and from endpoints: the protocols read beside the relay, each transfer as one deed. Pure."""
