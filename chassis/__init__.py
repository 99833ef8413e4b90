"""What every service needs and none writes twice. No word of one service's business."""
