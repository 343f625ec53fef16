"""Which parts of a model learn when: names, phases, schedules, freezing, the plan of a run."""
