"""Distillation: a student learns from a teacher, both reached by hook, in parts that combine."""
