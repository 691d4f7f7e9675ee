"""One file a method, each readable beside its paper; table.py, one floor up, lists them all.

frozen_means.py, frozen_whitened.py   the floor: class means of the frozen base's features, no training
sequential.py                         plain fine-tuning, task after task
replay.py, ewc.py, lwf.py             what may be done against forgetting, whatever learns
o_lora.py                             a LoRA a task, in directions of its own
portfolio.py                          this package as users run it
joint_adapter.py, joint_full.py       the ceiling: all tasks at once
"""
