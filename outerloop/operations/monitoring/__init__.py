"""What supervisors and Prometheus ask: alive, ready, figures; and log lines that name their task."""
