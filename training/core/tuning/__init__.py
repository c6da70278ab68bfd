"""What PPO, DPO and best-of-n share: how a policy is measured, which one is kept, what a run will need."""
