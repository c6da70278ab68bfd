"""An LLM judge as an optional link of evaluation: it advises, is held against people's labels, decides nothing."""
