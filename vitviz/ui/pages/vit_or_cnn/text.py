"""Words of the page on which a Vision Transformer stands beside a convolutional network."""

from __future__ import annotations

from dataclasses import replace

from vitviz.ui.text.common import PageText
from vitviz.ui.text.sentences import computed, definition, instruction, reference

_FIELDS = "vitviz.analysis.receptive_field.receptive_fields"
_DISTANCES = "vitviz.analysis.attention.attention_distance"
_PERTURBATION = "vitviz.analysis.perturbation.perturbation_curve"
_ANSWERS = "vitviz.analysis.prediction.top_predictions"

PAGE = PageText(
    title=instruction("ViT or CNN"),
    question=instruction("What is different from a convolution?"),
    lead=definition(
        "A convolution combines a small neighbourhood; attention combines all patches.",
        when="only global",
    )
    + definition(
        "A convolution combines a small neighbourhood; attention combines all tokens that a layer compares.",
        when="!only global",
    ),
    try_this=instruction(
        "Play: after which layer does each network use distant pixels? "
        "Then choose the mean over the gallery: is the result typical of the network?"
    ),
    notice=reference(
        "The first layers of trained ViTs already look far and, with enough training data, also near. "
        "The receptive field of a CNN grows layer by layer.",
        "raghu",
        "dosovitskiy",
    )
    + reference("The effective receptive field of a CNN is much smaller than its kernels allow.", "luo"),
    catch=definition(
        "Two networks do not stand for two architectures: they also differ in size and training. See the table under *Details*. "
        "A receptive field shows which pixels can change a unit, not what the answer depends on."
    ),
    formula=definition(
        r"The effective receptive field of a layer is $\sum_j \left|\partial \sum_k z_{k,m} / \partial x_j\right|$ over the pixels. "
        r"Here $z_{k,m}$ is channel $k$ of the unit $m$ in the middle and $x_j$ the pixels of colour $j$. The square is the smallest around "
        r"that unit that holds 95% of it. The attention distance of a head is the mean over patches $q$ of $\sum_k A_{qk}\, d_{qk}$. Here "
        r"$d_{qk}$ is the distance of two patches in pixels, and $A$ is without prefix tokens, rows summing to 1. Grad-CAM is "
        r"$\max\!\left(0, \sum_k w_k F_k\right)$, with $F_k$ the channels of the last map and $w_k$ the mean of the output's gradient by $F_k$."
    ),
    references=(
        "dosovitskiy",
        "raghu",
        "luo",
        "grad-cam",
        "naseer",
        "shuffled",
        "geirhos",
        "tuli",
        "bai",
        "pinto",
        "deit",
        "convnext",
        "smith",
    ),
)

_DISTANCE = definition(
    "The attention distance measures how far a head looks in one layer. The receptive field also includes the mixing of all layers before."
)
HEADS_CLAIMED = reference(
    "In ViTs trained on very many pictures, the first layers have heads that look near and heads that look far.",
    "dosovitskiy",
    "raghu",
)
_UNEQUAL = definition(
    "Two networks do not stand for two architectures: they also differ in size and training. See the table under *Details*."
)

# The page for each of what is shown of both
PAGES = {
    "reach": PAGE,
    "heads": replace(
        PAGE,
        lead=definition("How far does each head look, layer by layer? A convolution reaches as far as its kernel."),
        try_this=instruction("Compare the heads of the first layer with those of the last: which look farther?")
        + instruction("Then choose the mean over the gallery: is the result typical of the network?"),
        notice=HEADS_CLAIMED,
        catch=_DISTANCE + definition("A head that looks far may still give most of its weight to a few patches."),
    ),
    "perturbation": replace(
        PAGE,
        lead=definition("The photograph is perturbed step by step: how long does each answer stay the same?"),
        try_this=instruction("Shuffle the photograph, and read the curves.")
        + instruction("Then mask the centre: which network's answer changes first?"),
        notice=reference(
            "Published comparisons found that ViTs withstood hidden and shuffled patches better than CNNs.", "naseer"
        )
        + definition("A shuffle of whole ViT patches does not change the content of any patch."),
        catch=_UNEQUAL
        + definition(
            "Perturbed photographs are unlike the training pictures of both networks. One photograph does not measure a network."
        ),
    ),
    "answers": replace(
        PAGE,
        lead=definition("Where does each network look, and do both give the same answer?", when="answers")
        + definition("Where does each network look?", when="!answers"),
        try_this=instruction("Guess the answer of each network, then show the answers.", when="answers,trained")
        + instruction("Choose another map of the ViT: does the map still show the same parts?"),
        notice=definition("Both networks get the same part of the photograph, each at its own size.")
        + reference(
            "Grad-CAM weights the last feature maps of a network by the gradient of a class, so it depends on the class.",
            "grad-cam",
        ),
        catch=_UNEQUAL
        + definition(
            "Maps of two methods differ because of the methods. Grad-CAM of both networks is the fairest comparison."
        ),
    ),
}

SHOWN = instruction("Comparison")
KINDS = instruction(
    {"reach": "receptive field", "heads": "attention distance", "perturbation": "perturbation", "answers": "answers"}
)
CHOOSE_CNN = instruction("Convolutional network")
CHOOSE_CNN_HELP = instruction("Choose one, or type the name of any convolutional network of timm's registry.")
EMBEDDED_VIT, EMBEDDED_CNN = instruction(("embedded", "embedded"))
UNTRAINED = instruction("{name}, untrained")
VIT, CNN = instruction(("ViT · {name}", "CNN · {name}"))
TARGET_HELP = instruction(
    "The first answer or any other answer of the ViT, for both networks. "
    "A CNN without this answer uses its own first answer."
)
SHORT_VIT, SHORT_CNN = instruction(("ViT", "CNN"))
BACK = instruction("Back to the embedded network")

# Reach
REACH_OF = instruction("Measured on")
REACHES = instruction({"picture": "this photograph", "gallery": "gallery, mean"})
REACH_OF_HELP = instruction("Averaging over all photographs of the gallery takes about a minute the first time.")
REACH_SAID = computed(
    "The square that holds {share} of the gradient is {vit:.0f} pixels wide in the ViT ({layer}) and {cnn:.0f} in the CNN ({stage}).",
    _FIELDS,
)
REACH_HERE = computed(
    "The square of the ViT is {first:.0f} pixels wide after its first layer and {last:.0f} after its last. "
    "The square of the CNN is {cnn:.0f} pixels wide after its first stage and {end:.0f} after its last.",
    _FIELDS,
)
UNDER_FIELD = computed("{part}: {side:.0f} px", _FIELDS)
FIELD_ALT = definition(
    "How strongly each pixel changes the unit in the middle, from dark to bright, and the square that holds 95% of it."
)
FIELDS_LEGEND = definition(
    "Brighter pixels have more effect on the unit in the middle of the layer. The square holds 95% of the gradient. Colours show its "
    "square root, up to the 99th percentile of each layer."
)
EMBEDDING = instruction("patch embedding")
LAYER, STAGE = instruction(("layer {number}", "stage {number}"))
DEPTH, SIDE = instruction(("depth", "side of the square, pixels"))
FIRST, LAST = instruction(("first", "last"))
FIELDS = instruction("The receptive fields of every layer")
WAIT_FIELDS = instruction("Receptive fields of {network}")
WAIT_GALLERY = instruction("Receptive fields of {network} over {count} photographs")
WAIT_DISTANCES = instruction("Attention distances over the gallery")
TOO_MANY_TOKENS = instruction(
    "Receptive fields are computed for inputs of at most {most} tokens. Choose a smaller input size in the sidebar."
)
REACH_CLAIMED = reference(
    "The first layers of trained ViTs already look far, and the effective receptive fields of CNNs grow with depth.",
    "raghu",
    "luo",
)
NEAR_FROM_THE_FIRST = computed(
    "The result here differs: after the first layer, the ViT's square is no larger than the CNN's after its first stage.",
    _FIELDS,
)
GROWS_NOT = computed("The result here differs: the CNN's square shrinks at {stage}.", _FIELDS)
DISTANCES_HERE = computed(
    "The attention distances of the first layer are {low:.0f} to {high:.0f} pixels. Equal weights give {even:.0f}.",
    _DISTANCES,
)
HEADS_AGAINST = computed(
    {
        "near": "The result here differs from publications: no head of the first layer looks less than half as far as equal weights.",
        "far": "The result here differs from publications: no head of the first layer looks more than half as far as equal weights.",
    },
    _DISTANCES,
)

# Perturbations
PERTURBATION = instruction("Perturbation")
PERTURBATION_HELP = definition(
    "All pieces have one size, and leftover pixels stay at the border. "
    "Hidden places get the mean colour of the photograph. A blur removes texture and keeps shapes. Edges remove colour and texture and "
    "keep outlines."
)
PERTURBATIONS = instruction(
    {
        "shuffle": "shuffle pieces",
        "hide": "hide random patches",
        "centre": "mask the centre",
        "blur": "blur (low-pass)",
        "edges": "edges only",
    }
)
LEVELS = definition(
    {
        "shuffle": "pieces to a side",
        "hide": "share hidden",
        "centre": "side of the mask",
        "blur": "blur, pixels",
        "edges": "share of edges",
    }
)
LEVEL_WORDS = instruction(
    {
        "shuffle": "{count} × {count} pieces shuffled",
        "hide": "{share} of a 16 × 16 grid hidden",
        "centre": "a centre square of {share} of each side masked",
        "blur": "blurred by {count} pixels",
        "edges": "{share} edges",
    }
)
# The pieces of a shuffled grid are whole patches of the ViT, or cut some of them.
WHOLE_PATCHES, CUT_PATCHES = definition(("{level}, whole patches of the ViT", "{level}, cutting patches of the ViT"))
UNPERTURBED = instruction("The photograph as it is")
PROBABILITY = definition("probability")
STEP = computed("{level}: {answers}.", _PERTURBATION)
STEP_ANSWER = computed("the {network} gives {label} {value}", _PERTURBATION)
AND = definition(", ")
UNDER_PICTURE = computed("{label}: {value}", _PERTURBATION)
WAIT_PERTURBATION = instruction("Perturbed photographs through {network}")
CLAIMED = {
    "shuffle": reference(
        "In published comparisons, ViTs lost less accuracy than CNNs when patches were shuffled. Shape-biased CNNs lost more than others.",
        "naseer",
        "shuffled",
    ),
    "hide": reference(
        "In published comparisons, ViTs kept their answer longer than CNNs when patches were hidden.", "naseer"
    ),
    "centre": reference(
        "In published comparisons, ViTs kept their answer longer than CNNs when the object was hidden.", "naseer"
    ),
    "edges": reference(
        "CNNs trained on ImageNet depend strongly on texture. ViTs were found to depend on it less.",
        "geirhos",
        "naseer",
        "tuli",
    ),
}
NOT_CLAIMED = definition("A blur removes texture and fine shape at once. This page cites no general claim about blur.")
HERE_VIT = computed(
    "Here the ViT keeps {vit} of its probability and the CNN {cnn}, on average over the levels of both.", _PERTURBATION
)
HERE_CNN = computed(
    "Here the CNN keeps {cnn} of its probability and the ViT {vit}, on average over the levels of both.", _PERTURBATION
)
HERE_AGAINST = computed(
    "The result here differs: the CNN keeps {cnn} of its probability and the ViT {vit}, on average over the levels of both.",
    _PERTURBATION,
)
ONE_CURVE = definition("The Vision Transformer has no classifier, so it has no answer to follow.")

# Answers
ITS_ANSWER, VITS_ANSWER = definition(("its first answer", "the ViT's first answer"))
HIDDEN_ANSWERS = instruction("Use the maps to guess the answer of each network, then show the answers.")
VIT_MAP = instruction("Map of the ViT")
VIT_MAPS = instruction({"rollout": "rollout", "attention": "attention, last layer", "gradcam": "Grad-CAM"})
AGREE = computed("Both say **{label}**: the ViT with {vit}, the CNN with {cnn}.", _ANSWERS)
DISAGREE = computed("They disagree: the ViT says {vit}, the CNN {cnn}.", _ANSWERS)
OTHER_NAMES = computed(
    "Their classes have different names, so the answers cannot be compared: the ViT says {vit}, the CNN {cnn}.",
    _ANSWERS,
)
NO_NAMES = definition("{network} has no classifier, so it has no answer to compare.")
NO_TRAINING = definition("{network} was not trained: its answer means nothing.")
MAP_ALT = definition("{title}: {label}.")
CAM_OF = computed("Grad-CAM of {label}", "vitviz.analysis.methods.gradcam.cnn_gradcam")
PERCENT, NUMBER = definition(("%", "output"))

# What is not equal
UNEQUAL = instruction("What is not equal here")
FACTS = definition(
    (
        "million parameters",
        "input, pixels",
        "pretrained on",
        "fine-tuned for",
        "outputs",
        "accuracy on everyday photographs",
    )
)
MEASURED = computed("{top1} of {images}", "vitviz.models.embedded.measured")
NOT_KNOWN = definition("not known")
KNOWN = (
    reference(
        "A convolution has two assumptions built in: near pixels belong together, and a pattern means the same everywhere.",
        "dosovitskiy",
    )
    + reference("ViTs without these assumptions did worse on few pictures and better on very many.", "dosovitskiy")
    + reference("With another training recipe they did well on one million pictures too.", "deit")
)
CONTESTED = (
    reference(
        "It is contested whether attention is the cause: CNNs with the design and recipe of ViTs, or with as much training, reach about the same accuracy.",
        "convnext",
        "smith",
    )
    + reference(
        "With equal training, CNNs were as robust to adversarial pictures as ViTs. Under distribution shift, ViTs did better.",
        "bai",
    )
    + reference("With recent CNNs there is no clear winner in robustness.", "pinto")
)
GENERAL = instruction("What is known, and what is contested")
OTHER_SIZES = definition(
    "The two inputs differ in size, so one pixel covers a different share of the photograph in each input."
)
CURVES = instruction("The curves above")
SAME_CUT = definition("Both networks get the same part of the photograph.")
