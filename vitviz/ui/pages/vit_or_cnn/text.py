"""Words of the page on which a Vision Transformer stands beside a convolutional network."""

from __future__ import annotations

from dataclasses import replace

from vitviz.ui.text.common import PageText
from vitviz.ui.text.sentences import computed, definition, instruction, reference

_FIELDS = "vitviz.analysis.receptive_field.receptive_fields"
_DISTANCES = "vitviz.analysis.attention.attention_distance"
_STRESS = "vitviz.analysis.stress.stress_curve"
_ANSWERS = "vitviz.analysis.prediction.top_predictions"

PAGE = PageText(
    title=instruction("ViT or CNN"),
    question=instruction("What is different from a convolution?"),
    lead=definition(
        "A convolution takes from a small neighbourhood, attention from every patch.",
        when="only global",
    )
    + definition(
        "A convolution takes from a small neighbourhood, attention from all it compares.",
        when="!only global",
    ),
    try_this=instruction(
        "Play: which network sees far after its first layer, and which only near the end? "
        "Then take the mean over the gallery: is it the network or this photograph?"
    ),
    notice=reference(
        "The first layers of trained ViTs already look far, and with enough training data near as well; a CNN grows its field layer by layer.",
        "raghu",
        "dosovitskiy",
    )
    + reference("The effective field of a CNN is much smaller than the one its kernels allow.", "luo"),
    catch=definition(
        "Two networks are not two architectures: these differ in size and in training too, as the table under *Details* says. "
        "A receptive field says what could move a unit, not what the answer rests on."
    ),
    formula=definition(
        r"The effective receptive field of a layer is $\sum_j \left|\partial \sum_k z_{k,m} / \partial x_j\right|$ over the pixels, "
        r"with $z_{k,m}$ channel $k$ of the unit $m$ in the middle and $x_j$ the pixels of colour $j$. The square is the smallest around "
        r"that unit that holds 95% of it. The attention distance of a head is the mean over patches $q$ of $\sum_k A_{qk}\, d_{qk}$, with "
        r"$d_{qk}$ the distance of two patches in pixels and $A$ without prefix tokens, rows summing to 1. Grad-CAM is "
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
    "The attention distance says where a head looks. The field is another quantity: it also counts what all layers before have mixed."
)
HEADS_CLAIMED = reference(
    "In ViTs trained on very many pictures, the first layers have heads that look near beside heads that look far.",
    "dosovitskiy",
    "raghu",
)
_UNEQUAL = definition(
    "Two networks are not two architectures: these differ in size and in training too, as the table under *Details* says."
)

# The page for each of what is shown of both
PAGES = {
    "reach": PAGE,
    "heads": replace(
        PAGE,
        lead=definition("How far does each head look, layer by layer? A convolution looks as far as its kernel."),
        try_this=instruction("Compare the heads of the first layer with those of the last: which look farther?")
        + instruction("Then take the mean over the gallery: is it the network or this photograph?"),
        notice=HEADS_CLAIMED,
        catch=_DISTANCE + definition("A head that looks far may still give most of its weight to a few patches."),
    ),
    "stress": replace(
        PAGE,
        lead=definition("The same photograph, damaged step by step: how long does an answer stay?"),
        try_this=instruction("Shuffle the photograph, and read the curves.")
        + instruction("Then mask the centre: which network's answer changes first?"),
        notice=reference(
            "Published comparisons found that ViTs withstood hidden and shuffled patches better than CNNs.", "naseer"
        )
        + definition("A shuffle in whole patches of the ViT keeps its patches as they are."),
        catch=_UNEQUAL
        + definition(
            "Damaged photographs are unlike all that either network was trained on. One photograph is no measurement of a network."
        ),
    ),
    "answers": replace(
        PAGE,
        lead=definition("Where does each network look, and do both say the same?", when="answers")
        + definition("Where does each network look?", when="!answers"),
        try_this=instruction("Guess what each network says, then ask for the answers.", when="answers,trained")
        + instruction("Choose another map of the ViT: does it still look at the same parts?"),
        notice=definition("Both get the same cut of the photograph, each at its own size.")
        + reference(
            "Grad-CAM weighs the last map of a network by the answer's gradient, and so depends on the class.",
            "grad-cam",
        ),
        catch=_UNEQUAL
        + definition(
            "Two maps made in different ways differ for that alone: Grad-CAM of both is the fairest comparison."
        ),
    ),
}

SHOWN = instruction("What is shown of both")
KINDS = instruction({"reach": "reach", "heads": "attention distance", "stress": "stress", "answers": "answers"})
CHOOSE_CNN = instruction("Convolutional network")
CHOOSE_CNN_HELP = instruction("Choose one, or type the name of any convolutional network of timm's registry.")
EMBEDDED_VIT, EMBEDDED_CNN = instruction(("embedded", "embedded"))
UNTRAINED = instruction("{name}, untrained")
VIT, CNN = instruction(("ViT · {name}", "CNN · {name}"))
TARGET_HELP = instruction(
    "The first answer, or any other that the ViT has: both networks are asked about it. "
    "A CNN with other answers keeps its own first one."
)
SHORT_VIT, SHORT_CNN = instruction(("ViT", "CNN"))
BACK = instruction("Back to the embedded network")

# Reach
REACH_OF = instruction("Measured on")
REACHES = instruction({"picture": "this photograph", "gallery": "gallery, mean"})
REACH_OF_HELP = instruction("Averaging over all photographs of the gallery takes about a minute the first time.")
REACH_SAID = computed(
    "{share} of the gradient lies within a square of {vit:.0f} pixels in the ViT ({layer}) and of {cnn:.0f} in the CNN ({stage}).",
    _FIELDS,
)
REACH_HERE = computed(
    "After its first layer the ViT's square is {first:.0f} pixels wide, after its last {last:.0f}. "
    "The CNN's is {cnn:.0f} after its first stage and {end:.0f} after its last.",
    _FIELDS,
)
UNDER_FIELD = computed("{part}: {side:.0f} px", _FIELDS)
FIELD_ALT = definition(
    "How strongly each pixel moves the unit in the middle, from dark to bright, and the square that holds 95% of it."
)
FIELDS_LEGEND = definition(
    "Bright pixels move the unit in the middle of the layer; the square holds 95% of the gradient. Colours are the square root, "
    "up to the 99th percentile of each layer."
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
    "Receptive fields are computed of inputs of at most {most} tokens. Choose a smaller input size in the sidebar."
)
REACH_CLAIMED = reference(
    "The first layers of trained ViTs already look far, and effective fields of CNNs grow with depth.", "raghu", "luo"
)
NEAR_FROM_THE_FIRST = computed(
    "Here it is otherwise: the ViT's square after its first layer is no larger than the CNN's after its first stage.",
    _FIELDS,
)
GROWS_NOT = computed("Here it is otherwise: the CNN's square shrinks at {stage}.", _FIELDS)
DISTANCES_HERE = computed(
    "Heads of the first layer look {low:.0f} to {high:.0f} pixels far. Even attention would look {even:.0f} far.",
    _DISTANCES,
)
HEADS_AGAINST = computed(
    {
        "near": "Here it is otherwise than published: no head of the first layer looks less than half as far as even attention.",
        "far": "Here it is otherwise than published: no head of the first layer looks more than half as far as even attention.",
    },
    _DISTANCES,
)

# Stress
DAMAGE = instruction("Damage")
DAMAGE_HELP = definition(
    "Pieces are of one size; pixels that are left over stay at the border. "
    "Hidden places get the photograph's mean colour. A blur takes texture and leaves shape; edges take colour and texture and leave "
    "outlines."
)
DAMAGES = instruction(
    {
        "shuffle": "shuffle pieces",
        "hide": "hide random patches",
        "centre": "mask the centre",
        "blur": "blur (low-pass)",
        "edges": "edges alone",
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
# How a shuffled grid lies to the ViT's own: its pieces are whole patches, or cut some.
WHOLE_PATCHES, CUT_PATCHES = definition(("{level}, whole patches of the ViT", "{level}, cutting patches of the ViT"))
UNDAMAGED = instruction("The photograph as it is")
PROBABILITY = definition("probability")
STEP = computed("{level}: {answers}.", _STRESS)
STEP_ANSWER = computed("the {network} gives {label} {value}", _STRESS)
AND = definition(", ")
UNDER_PICTURE = computed("{label}: {value}", _STRESS)
WAIT_STRESS = instruction("Damaged photographs through {network}")
CLAIMED = {
    "shuffle": reference(
        "In published comparisons, ViTs lost less than CNNs when patches were shuffled; CNNs biased to shape lost more than others.",
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
        "CNNs trained on ImageNet lean on texture; ViTs were found to lean on it less.", "geirhos", "naseer", "tuli"
    ),
}
NOT_CLAIMED = definition(
    "A blur takes texture and fine shape at once: no general claim about it is known to this page."
)
HERE_VIT = computed(
    "Here the ViT keeps {vit} of its answer on average over the levels of both, the CNN {cnn}.", _STRESS
)
HERE_CNN = computed(
    "Here the CNN keeps more of its answer: {cnn} on average over the levels of both, against {vit}.", _STRESS
)
HERE_AGAINST = computed(
    "On this photograph it is the other way round: the CNN keeps {cnn} of its answer on average over the levels of both, the ViT {vit}.",
    _STRESS,
)
ONE_CURVE = definition("The Vision Transformer has no classifier, so there is no answer of it to follow.")

# Answers
ITS_ANSWER, VITS_ANSWER = definition(("its first answer", "the ViT's first answer"))
HIDDEN_ANSWERS = instruction("Guess from the maps what each network says, then ask for the answers.")
VIT_MAP = instruction("Map of the ViT")
VIT_MAPS = instruction({"rollout": "rollout", "attention": "attention, last layer", "gradcam": "Grad-CAM"})
AGREE = computed("Both say **{label}**: the ViT with {vit}, the CNN with {cnn}.", _ANSWERS)
DISAGREE = computed("They disagree: the ViT says {vit}, the CNN {cnn}.", _ANSWERS)
OTHER_NAMES = computed(
    "Their classes have other names, so they cannot agree or disagree: the ViT says {vit}, the CNN {cnn}.", _ANSWERS
)
NO_NAMES = definition("{network} has no classifier, so there is no answer of it to compare.")
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
        "trained before on",
        "fine-tuned for",
        "outputs",
        "right on everyday photographs",
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
        "Whether attention is the cause is contested: CNNs with the ViTs' design and recipe, or as much training, reach about the same accuracy.",
        "convnext",
        "smith",
    )
    + reference(
        "Trained alike, CNNs withstood adversarial pictures as well; on shifted photographs ViTs did better.", "bai"
    )
    + reference("With recent CNNs there is no clear winner in robustness.", "pinto")
)
GENERAL = instruction("What is known, and what is contested")
OTHER_SIZES = definition(
    "The two inputs differ in size, so a pixel of one is not as much of the photograph as a pixel of the other."
)
CURVES = instruction("The curves above")
SAME_CUT = definition("Both networks get the same cut of the photograph.")
