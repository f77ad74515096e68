"""The public names with their types, for editors and type checkers; at run time `vitviz/__init__.py` imports them lazily."""

from vitviz import plot as plot
from vitviz.analysis.attention import (
    attention_distance as attention_distance,
)
from vitviz.analysis.attention import (
    attention_map as attention_map,
)
from vitviz.analysis.attention import (
    entropy as entropy,
)
from vitviz.analysis.attention import (
    head_maps as head_maps,
)
from vitviz.analysis.attention import (
    head_statistics as head_statistics,
)
from vitviz.analysis.attention import (
    prefix_mass as prefix_mass,
)
from vitviz.analysis.attention import (
    sink_tokens as sink_tokens,
)
from vitviz.analysis.by_hand import head_by_hand as head_by_hand
from vitviz.analysis.by_hand import open_layer as open_layer
from vitviz.analysis.faithfulness import faithfulness as faithfulness
from vitviz.analysis.head_importance import head_importance as head_importance
from vitviz.analysis.head_rollout import head_rollout as head_rollout
from vitviz.analysis.head_rollout import head_rollouts as head_rollouts
from vitviz.analysis.interventions import ChangePositions as ChangePositions
from vitviz.analysis.interventions import CutTokens as CutTokens
from vitviz.analysis.interventions import HidePatches as HidePatches
from vitviz.analysis.interventions import Interventions as Interventions
from vitviz.analysis.interventions import ShufflePatches as ShufflePatches
from vitviz.analysis.interventions import SwitchOffHeads as SwitchOffHeads
from vitviz.analysis.interventions import SwitchOffLayers as SwitchOffLayers
from vitviz.analysis.interventions import head_means as head_means
from vitviz.analysis.interventions import intervene as intervene
from vitviz.analysis.layers import layer_maps as layer_maps
from vitviz.analysis.methods import explain_all as explain_all
from vitviz.analysis.patches import Paste as Paste
from vitviz.analysis.patches import filter_components as filter_components
from vitviz.analysis.patches import patch_pixels as patch_pixels
from vitviz.analysis.patches import two_scenes as two_scenes
from vitviz.analysis.positions import (
    embedding_sum as embedding_sum,
)
from vitviz.analysis.positions import (
    position_embedding as position_embedding,
)
from vitviz.analysis.positions import position_kinds as position_kinds
from vitviz.analysis.positions import (
    position_similarity as position_similarity,
)
from vitviz.analysis.positions import (
    similarity_by_distance as similarity_by_distance,
)
from vitviz.analysis.prediction import logit_lens as logit_lens
from vitviz.analysis.prediction import patch_lens as patch_lens
from vitviz.analysis.prediction import top_predictions as top_predictions
from vitviz.analysis.queries import default_query as default_query
from vitviz.analysis.question import Question as Question
from vitviz.analysis.relative import offset_biases as offset_biases
from vitviz.analysis.relative import relative_biases as relative_biases
from vitviz.analysis.relative import rotary_table as rotary_table
from vitviz.analysis.rollout import (
    RolloutOptions as RolloutOptions,
)
from vitviz.analysis.rollout import (
    rollout as rollout,
)
from vitviz.analysis.rollout import (
    rollout_matrix as rollout_matrix,
)
from vitviz.analysis.rollout import (
    rollout_row as rollout_row,
)
from vitviz.analysis.sinks import rollout_sinks as rollout_sinks
from vitviz.analysis.sinks import token_outliers as token_outliers
from vitviz.analysis.targets import ClassLogit as ClassLogit
from vitviz.analysis.targets import LogitDifference as LogitDifference
from vitviz.analysis.targets import SelfDot as SelfDot
from vitviz.explaining import explain as explain
from vitviz.explaining import methods as methods
from vitviz.images import image_hash as image_hash
from vitviz.images import load_image as load_image
from vitviz.models import load_cnn as load_cnn
from vitviz.models import load_model as load_model
from vitviz.models import prepare as prepare
from vitviz.models import resized as resized
from vitviz.outputs import OutputKind as OutputKind
from vitviz.samples import load_sample as load_sample
from vitviz.tokens import Query as Query
from vitviz.tracing import trace as trace

__version__: str
from vitviz.analysis.features import cluster_patches as cluster_patches
from vitviz.analysis.features import correspondences as correspondences
from vitviz.analysis.features import feature_maps as feature_maps
from vitviz.analysis.features import patch_similarity as patch_similarity
from vitviz.analysis.features import principal_components as principal_components
from vitviz.analysis.features import similar_patches as similar_patches
from vitviz.analysis.localization import lost as lost
from vitviz.analysis.localization import mask_cut as mask_cut
from vitviz.analysis.localization import token_cut as token_cut
from vitviz.analysis.masks import coco as coco
from vitviz.analysis.masks import refine_labels as refine_labels
from vitviz.analysis.masks import refine_mask as refine_mask
from vitviz.analysis.receptive_field import receptive_fields as receptive_fields
from vitviz.analysis.stress import stress_curve as stress_curve
from vitviz.models.hugging_face.detectors import detect as detect
from vitviz.models.hugging_face.detectors import load_detector as load_detector
