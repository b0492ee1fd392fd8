"""A real diffusion sampler without weights: the exact denoiser of a small drawn picture set."""

from pipeline_runner.pipelines.embedded.denoiser import knows
from pipeline_runner.pipelines.embedded.generate import Cancelled, Picture, Settings, generate, warm_up
from pipeline_runner.pipelines.embedded.samplers import SAMPLERS
from pipeline_runner.pipelines.embedded.schedules import SCHEDULERS

__all__ = ["SAMPLERS", "SCHEDULERS", "Cancelled", "Picture", "Settings", "generate", "knows", "warm_up"]
