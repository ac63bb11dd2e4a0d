from .fitting import num_that_fit as num_that_fit
from .protocol import Codec as Codec
from .protocol import Shape as Shape
from .table import CODECS as CODECS
from .table import CodecInfo as CodecInfo
from .table import Parameter as Parameter
from .table import canonical as canonical
from .table import parse as parse
