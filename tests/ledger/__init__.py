"""The ledger of RFC 9293: which tests hold each requirement and each row of the state machine, and that they would miss it."""
