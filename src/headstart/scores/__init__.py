"""Transferability scores and distances between data sets, before any training."""

from headstart.scores.data_set_transport import class_distances, data_set_transport
from headstart.scores.debiased_cka import debiased_linear_cka
from headstart.scores.domain_discrepancy import frechet_distance, gaussian_mmd
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
    "class_distances",
    "data_set_transport",
    "debiased_linear_cka",
    "etran_classification",
    "etran_energy",
    "frechet_distance",
    "gaussian_mmd",
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
