"""The detector around the monocular 3D heads."""

from mmdet.models.detectors import SingleStageDetector
from mmdet.structures import SampleList
from mmengine.structures import InstanceData
from torch import Tensor

from lvt_dense.registry import MODELS


@MODELS.register_module()
class Mono3DDetector(SingleStageDetector):
    """Backbone, neck and monocular 3D head.

    It reads ``gt_instances_3d`` of the data samples, and adds
    ``pred_instances_3d``: ``bboxes_3d`` (M, 7), ``scores_3d`` (M,),
    ``labels_3d`` (M,), ``bboxes`` (M, 4) as xyxy in pixels and ``alphas``
    (M,). Boxes as in :mod:`lvt_dense.structures.boxes_3d`. Their 2D part is
    in ``pred_instances`` too, under the names of MMDetection, for what only
    knows those.
    """

    def predict(
        self,
        batch_inputs: Tensor,
        batch_data_samples: SampleList,
        rescale: bool = True,
    ) -> SampleList:
        """Detect objects in (N, 3, H, W).

        With ``rescale`` the 2D boxes are those of the original images; 3D
        boxes have no need of it.
        """
        features = self.extract_feat(batch_inputs)
        results = self.bbox_head.predict(
            features, batch_data_samples, rescale=rescale
        )
        for sample, result in zip(batch_data_samples, results):
            sample.pred_instances_3d = result
            sample.pred_instances = InstanceData(
                bboxes=result.bboxes,
                scores=result.scores_3d,
                labels=result.labels_3d,
            )
        return batch_data_samples
