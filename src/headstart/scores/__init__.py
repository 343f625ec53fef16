"""Transferability scores: how well a source model suits a target task, before any training."""

from headstart.scores.etran import etran_classification, etran_energy
from headstart.scores.gbc import gbc
from headstart.scores.h_score import h_score, regularised_h_score
from headstart.scores.leep import leep
from headstart.scores.logistic_accuracy import logistic_accuracy
from headstart.scores.logme import logme
from headstart.scores.n_leep import n_leep
from headstart.scores.nce import nce
from headstart.scores.neighbour_accuracy import neighbour_accuracy
from headstart.scores.parc import parc
from headstart.scores.sfda import sfda
from headstart.scores.transrate import transrate

__all__ = [
    "etran_classification",
    "etran_energy",
    "gbc",
    "h_score",
    "leep",
    "logistic_accuracy",
    "logme",
    "n_leep",
    "nce",
    "neighbour_accuracy",
    "parc",
    "regularised_h_score",
    "sfda",
    "transrate",
]
