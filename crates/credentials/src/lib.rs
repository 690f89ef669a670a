//! Password hashing, access tokens and random secrets for InsightDesk's identity ports.
